//! What was asked of one slot, and whether it flows.

use super::planted::{Bug, Planted};
use super::queue::{Entry, Kind, Queue, State};
use super::{Answered, AskId, Counters, Output, Owner, Retry, Settings, Why};
use crate::clock::Mono;
use crate::cluster::slot::SlotId;
use crate::ids::NodeIndex;

/// What all slots hold together.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub bytes: usize,
    pub count: usize,
    /// Of `count`, what waits.
    pub waiting: usize,
    pub counters: Counters,
}

/// What a slot works with, and where its outputs go.
pub(super) struct Around<'a, F> {
    pub slot: SlotId,
    pub settings: &'a Settings,
    pub planted: Planted,
    pub totals: &'a mut Totals,
    pub out: &'a mut F,
}

/// Where what flows goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Here,
    Node(NodeIndex),
}

/// Whether new entries go out at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Flowing(Target),
    Holding,
}

/// One slot. While it flows, nothing in its queue waits. All that is in flight was sent to one node.
#[derive(Debug)]
pub(super) struct OneSlot<M> {
    queue: Queue<M>,
    pub owner: Owner,
    pub flow: Flow,
    /// Grows each time the slot begins to flow.
    round: u32,
    /// Asks that are in flight, and the node that has them.
    in_flight: usize,
    to: NodeIndex,
    pub waiting: usize,
    /// The first place of this round that was bounced. Nothing behind it was taken.
    bounced_from: Option<u64>,
    /// Nothing is sent before this time, and before the map has this version.
    pub pause: Option<Mono>,
    pub needs_map: u64,
    /// The next pause, in milliseconds.
    again: u64,
    /// No waiting entry is to be given up before this time.
    due: Mono,
}

impl<M> OneSlot<M> {
    pub fn new(again: u64) -> Self {
        Self {
            queue: Queue::default(),
            owner: Owner::Nobody,
            flow: Flow::Holding,
            round: 0,
            in_flight: 0,
            to: NodeIndex::HERE,
            waiting: 0,
            bounced_from: None,
            pause: None,
            needs_map: 0,
            again,
            due: Mono::NEVER,
        }
    }

    /// Whether nothing of it is in flight, so that what is held may go on once an owner can be used.
    pub fn is_decided(&self, planted: Planted) -> bool {
        self.in_flight == 0 || planted.has(Bug::Undecided)
    }

    /// A pause that is over ends.
    pub fn wake(&mut self, now: Mono) {
        self.pause = self.pause.filter(|until| now < *until);
    }

    /// The map names another owner.
    pub fn owner_changed(&mut self, owner: Owner, again: u64) {
        self.owner = owner;
        self.flow = Flow::Holding;
        self.pause = None;
        self.again = again;
    }

    /// Adds an entry at the end, and sends it if the slot flows.
    pub fn push<F>(&mut self, entry: Entry<M>, around: &mut Around<'_, F>)
    where
        F: FnMut(Output<'_, M>),
    {
        around.totals.bytes += entry.weight;
        around.totals.count += 1;
        around.totals.waiting += 1;
        self.waiting += 1;
        self.due = self.due.min(deadline(&entry, around.settings));
        let place = self.queue.push(entry);
        match (self.flow, self.owner) {
            (Flow::Flowing(target), _) => self.send(place, target, around),
            (Flow::Holding, Owner::Node(node)) if around.planted.has(Bug::HeldOvertaken) => {
                self.send(place, Target::Node(node), around);
            }
            (Flow::Holding, _) => {}
        }
    }

    /// Sends a waiting entry. Everything before it has been sent or decided.
    fn send<F>(&mut self, place: u64, target: Target, around: &mut Around<'_, F>)
    where
        F: FnMut(Output<'_, M>),
    {
        let Target::Node(node) = target else {
            if let Some(entry) = self.remove(place, around) {
                let Entry { unsure, message, .. } = entry;
                (around.out)(Output::Local { slot: around.slot, unsure, message });
            }
            return;
        };
        let (slot, round) = (around.slot, self.round);
        let Some(entry) = self.queue.get_mut(place) else { return };
        entry.state = State::Sent;
        self.to = node;
        self.waiting -= 1;
        around.totals.waiting -= 1;
        let (unsure, message) = (entry.unsure, &entry.message);
        match entry.kind {
            Kind::Ask(_) => {
                self.in_flight += 1;
                let id = AskId::new(place, slot);
                (around.out)(Output::Send { node, slot, round, id, unsure, message });
            }
            Kind::Tell => {
                (around.out)(Output::Tell { node, slot, round, message });
                // Kept only as long as it may have to be repeated.
                if self.in_flight == 0 || around.planted.has(Bug::TellNotRepeated) {
                    self.remove(place, around);
                }
            }
        }
    }

    /// Begins a new round: everything that waits goes on in first order.
    pub fn resume<F>(&mut self, target: Target, around: &mut Around<'_, F>)
    where
        F: FnMut(Output<'_, M>),
    {
        if around.planted.has(Bug::NeverResumed) && self.bounced_from.is_some() {
            return;
        }
        let same_round = around.planted.has(Bug::SameRound) && self.bounced_from.is_some();
        let reverse = around.planted.has(Bug::BouncedAfterLater) && self.bounced_from.is_some();
        self.round += u32::from(!same_round);
        self.bounced_from = None;
        self.flow = Flow::Flowing(target);
        if self.waiting == 0 {
            return;
        }
        let waiting = self.queue.iter_mut().filter(|(_, entry)| entry.state == State::Waiting);
        let mut places: Vec<u64> = waiting.map(|(place, _)| place).collect();
        if reverse {
            places.reverse();
        }
        for place in places {
            self.send(place, target, around);
        }
        self.due = Mono::NEVER;
    }

    /// Takes an ask out that this node has answered.
    pub fn answered<F>(
        &mut self,
        from: NodeIndex,
        place: u64,
        around: &mut Around<'_, F>,
    ) -> Option<Answered<M>> {
        self.in_flight_to(from, place)?;
        let entry = self.remove(place, around)?;
        self.in_flight -= 1;
        self.again = around.settings.again;
        around.totals.counters.answered += 1;
        self.drop_taken_tells(around);
        let Entry { asked, unsure, message, .. } = entry;
        Some(Answered { message, asked, unsure })
    }

    /// The ask at this place, if it is in flight to this node.
    fn in_flight_to(&mut self, node: NodeIndex, place: u64) -> Option<&mut Entry<M>> {
        let entry = self.queue.get_mut(place).filter(|_| self.to == node)?;
        (entry.state == State::Sent && entry.kind != Kind::Tell).then_some(entry)
    }

    /// This node did not take these asks. Returns whether any of them was in flight to it.
    pub fn bounced<F>(
        &mut self,
        from: NodeIndex,
        ids: &[AskId],
        now: Mono,
        around: &mut Around<'_, F>,
    ) -> bool
    where
        F: FnMut(Output<'_, M>),
    {
        let known = self.bounced_from;
        let slot = around.slot;
        for id in ids.iter().filter(|id| id.slot() == slot) {
            let place = id.place();
            if self.in_flight_to(from, place).is_none() {
                continue;
            }
            self.in_flight -= 1;
            self.bounced_from = Some(self.bounced_from.map_or(place, |first| first.min(place)));
            // It did not happen, so even what may not happen twice goes again.
            self.waits_again(place, around);
        }
        let Some(first) =
            self.bounced_from.filter(|first| known.is_none_or(|known| *first < known))
        else {
            return self.bounced_from.is_some();
        };
        // The node drops the rest of the round as well.
        let behind = self.queue.iter_mut().filter(|(place, entry)| {
            *place > first && entry.kind == Kind::Tell && entry.state == State::Sent
        });
        let behind: Vec<u64> = behind.map(|(place, _)| place).collect();
        for place in behind {
            self.waits_again(place, around);
        }
        if known.is_none() {
            self.pause = Some(now.after(self.again));
            self.again = around.settings.again_max.min(self.again * 2);
        }
        self.flow = Flow::Holding;
        self.drop_taken_tells(around);
        true
    }

    /// Nothing more comes from this node of what was sent to it.
    pub fn link_down<F>(&mut self, node: NodeIndex, around: &mut Around<'_, F>)
    where
        F: FnMut(Output<'_, M>),
    {
        if self.flow == Flow::Flowing(Target::Node(node)) {
            self.flow = Flow::Holding;
        }
        if self.in_flight == 0 || self.to != node {
            return;
        }
        self.flow = Flow::Holding;
        self.in_flight = 0;
        let mut given_up = Vec::new();
        let mut ask_before = false;
        self.queue.walk(|entry| match (entry.kind, entry.state) {
            (Kind::Ask(Retry::Once), State::Sent) if !around.planted.has(Bug::OnceTwice) => {
                given_up.push(entry);
                None
            }
            (Kind::Ask(_), _) => {
                ask_before = true;
                Some(entry)
            }
            // It goes again behind the ask that goes again; without one it is gone with the link.
            (Kind::Tell, State::Sent) if !ask_before => {
                uncount(&entry, around.totals);
                None
            }
            (Kind::Tell, _) => Some(entry),
        });
        let sent = self.queue.iter_mut().filter(|(_, entry)| entry.state == State::Sent);
        let sent: Vec<u64> = sent.map(|(place, _)| place).collect();
        for place in sent {
            if let Some(entry) = self.queue.get_mut(place) {
                entry.unsure = true;
            }
            self.waits_again(place, around);
        }
        for entry in given_up {
            uncount(&entry, around.totals);
            give_up(Some(entry), Why::Unknown, around);
        }
    }

    /// Gives up what has waited for too long.
    pub fn expire<F>(&mut self, now: Mono, around: &mut Around<'_, F>)
    where
        F: FnMut(Output<'_, M>),
    {
        if now < self.due {
            return;
        }
        let mut due = Mono::NEVER;
        let waiting = &mut self.waiting;
        self.queue.walk(|entry| {
            if entry.state == State::Sent {
                return Some(entry);
            }
            let deadline = deadline(&entry, around.settings);
            if now < deadline {
                due = due.min(deadline);
                return Some(entry);
            }
            *waiting -= 1;
            uncount(&entry, around.totals);
            around.totals.waiting -= 1;
            give_up(Some(entry), Why::Held, around);
            None
        });
        self.due = due;
    }

    fn waits_again<F>(&mut self, place: u64, around: &mut Around<'_, F>) {
        let Some(entry) = self.queue.get_mut(place) else { return };
        entry.state = State::Waiting;
        around.totals.counters.again += u64::from(entry.kind != Kind::Tell);
        self.due = self.due.min(deadline(entry, around.settings));
        self.waiting += 1;
        around.totals.waiting += 1;
    }

    /// Control messages at the front have no undecided ask before them, so they are not repeated.
    fn drop_taken_tells<F>(&mut self, around: &mut Around<'_, F>) {
        let taken = |entry: &Entry<M>| entry.kind == Kind::Tell && entry.state == State::Sent;
        while let Some(entry) = self.queue.pop_if(taken) {
            uncount(&entry, around.totals);
        }
    }

    fn remove<F>(&mut self, place: u64, around: &mut Around<'_, F>) -> Option<Entry<M>> {
        let entry = self.queue.remove(place)?;
        uncount(&entry, around.totals);
        if entry.state == State::Waiting {
            self.waiting -= 1;
            around.totals.waiting -= 1;
        }
        Some(entry)
    }
}

fn uncount<M>(entry: &Entry<M>, totals: &mut Totals) {
    totals.bytes -= entry.weight;
    totals.count -= 1;
}

fn deadline<M>(entry: &Entry<M>, settings: &Settings) -> Mono {
    entry.asked.after(match entry.kind {
        Kind::Ask(_) => settings.hold,
        Kind::Tell => settings.tell_hold,
    })
}

fn give_up<M, F>(entry: Option<Entry<M>>, why: Why, around: &mut Around<'_, F>)
where
    F: FnMut(Output<'_, M>),
{
    let Some(Entry { kind, message, .. }) = entry else { return };
    let slot = around.slot;
    (around.out)(match kind {
        Kind::Ask(_) => {
            around.totals.counters.given_up(why);
            Output::GiveUp { slot, why, message }
        }
        Kind::Tell => Output::Drop { slot, message },
    });
}
