//! What must hold: order, each ask decided once, bounds, and that nothing waits for ever.

use super::{Kind, Known, Message, SLOTS, Sent, Settings, Step, World, slot};
use crate::cluster::asks::Owner;
use crate::cluster::asks::tests::script::NODES;
use crate::cluster::slot::SlotId;
use crate::ids::NodeIndex;

impl World {
    /// What the sender must do, by the reference.
    pub(super) fn check_sending(&mut self, node: NodeIndex, sent: Sent) {
        let Sent { slot, round, id, message } = sent;
        if !self.nodes[usize::from(node.0)].heard {
            self.complain(format!("down: {message:?} was sent to a node whose link is down"));
        }
        self.check_order(slot, message, Some(round));
        let times = self.sent.entry(message.n).or_default();
        *times += 1;
        let again = *times > 1;
        let was_bounced = self.bounced.remove(&message.n);
        match message.kind {
            Kind::Once if again && was_bounced => self.met.once_again += 1,
            Kind::Once if again => {
                self.complain(format!("twice: {message:?} was sent twice without a number"));
            }
            Kind::Ask if again => {
                self.met.repeats += 1;
                // What was sent behind it goes again as well.
                let behind = self.known.range(message.n..).filter(|(n, known)| {
                    known.slot == slot
                        && known.message.kind == Kind::Tell
                        && self.sent.contains_key(n)
                });
                let behind: Vec<u64> = behind.map(|(n, _)| *n).collect();
                self.expected.extend(behind);
            }
            Kind::Tell if again => {
                self.met.tells_repeated += 1;
                if !self.expected.contains(&message.n) && !self.untaken.contains(&message.n) {
                    self.complain(format!("tell: {message:?} was repeated for no reason"));
                }
            }
            Kind::Once | Kind::Ask | Kind::Tell => {}
        }
        self.expected.remove(&message.n);
        self.untaken.remove(&message.n);
        if let Some(id) = id {
            let before = self.ids.insert(id, message.n);
            if before.is_some_and(|before| before != message.n) {
                self.complain(format!("id: {id:?} was given to {before:?} and {message:?}"));
            }
        }
        if let Some(known) = self.known.get_mut(&message.n) {
            known.round = Some(round);
        }
    }

    /// All earlier asks of the slot are decided, or were sent in this very round.
    pub(super) fn check_order(&mut self, slot: SlotId, message: Message, round: Option<u32>) {
        let left = self.known.range(..message.n).find(|(_, known)| {
            known.slot == slot
                && known.message.kind != Kind::Tell
                && (round.is_none() || known.round != round)
        });
        if let Some((n, _)) = left {
            let complaint = format!("overtaken: {message:?} went out before {n}");
            self.complain(complaint);
        }
    }

    pub(super) fn decided(&mut self, message: Message) {
        if self.known.remove(&message.n).is_none() {
            self.complain(format!("again: {message:?} was decided twice"));
        }
    }

    /// An entity takes something. Returns whether it is for the first time.
    pub(super) fn take(&mut self, slot: SlotId, message: Message) -> bool {
        if message.kind == Kind::Tell && !self.tells_taken.insert(message.n) {
            return false;
        }
        let mut same =
            self.taken.iter().filter(|(at, m)| *at == slot && m.session == message.session);
        if same.clone().any(|(_, taken)| taken.n == message.n) {
            if message.kind == Kind::Once {
                self.complain(format!("twice: {message:?} was taken twice without a number"));
            }
            return false;
        }
        if let Some((_, later)) = same.find(|(_, taken)| taken.n > message.n) {
            let complaint = format!("order: {message:?} was taken after {}", later.n);
            self.complain(complaint);
        }
        self.taken.push((slot, message));
        true
    }

    pub(super) fn check_bounds(&mut self, step: Step) {
        if let Some(n) = self.expected.pop_first() {
            self.expected.clear();
            self.complain(format!("left: {n} was not repeated with the ask before it"));
        }
        let Settings { hold_bytes, hold_count, .. } = self.settings;
        let (bytes, len) = (self.asks.bytes(), self.asks.len());
        let asks = self.known.values().filter(|known| known.message.kind != Kind::Tell);
        let (least_bytes, least) =
            asks.fold((0, 0), |(bytes, n), known| (bytes + known.weight, n + 1));
        let fits = bytes <= hold_bytes * 9 / 8 && len <= hold_count * 9 / 8;
        if !fits || least_bytes > bytes || least > len || least_bytes > hold_bytes {
            self.complain(format!("bounds: {bytes} bytes, {len} after {step:?}"));
        }
    }

    /// An ask was bounced, and with it what was sent behind it in the same round.
    pub(super) fn note_untaken(&mut self, bounced: u64) {
        let Some(Known { slot, round, .. }) = self.known.get(&bounced).copied() else { return };
        let behind = self.known.range(bounced..).filter(|(n, known)| {
            known.message.kind == Kind::Tell
                && known.slot == slot
                && known.round == round
                && self.sent.contains_key(n)
        });
        self.untaken.extend(behind.map(|(n, _)| *n));
    }

    /// The map is stable, links are up, owners serve: everything is decided, and what is asked now is
    /// answered.
    pub fn settle(&mut self) {
        self.stable_since = Some(self.now);
        for number in 0..SLOTS {
            if self.owner(slot(number)) == Owner::Nobody {
                self.step(Step::Move { slot: number, to: 1 });
            }
        }
        for node in 1..=NODES {
            self.step(Step::Up { node });
        }
        (0..SLOTS).for_each(|slot| self.step(Step::Open { slot }));
        self.step(Step::Map { late: 0 });
        self.run(2_500);
        for number in 0..SLOTS {
            self.ask(slot(number), 0, Kind::Once, 1);
            self.ask(slot(number), 1, Kind::Tell, 1);
            self.ask(slot(number), 1, Kind::Ask, 1);
        }
        self.run(1_500);
        self.known.retain(|_, known| known.message.kind != Kind::Tell);
        let (bytes, len, held) = (self.asks.bytes(), self.asks.len(), self.asks.held());
        if let Some((n, _)) = self.known.first_key_value() {
            let complaint = format!("stuck: {n} and perhaps others wait for ever");
            self.complain(complaint);
        } else if let Some(n) = self.untaken.first() {
            let complaint = format!("left: {n} was not taken, and is not sent again");
            self.complain(complaint);
        } else if (bytes, len, held) != (0, 0, 0) {
            self.complain(format!("bounds: {bytes} bytes, {len}, {held} of nothing"));
        }
    }
}
