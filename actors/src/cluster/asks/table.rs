//! The table of all slots.

use std::collections::HashSet;

use foldhash::fast::RandomState;

use super::{
    Answered, Around, AskId, Counters, Entry, Flow, Full, Kind, Mono, NodeIndex, OneSlot, Output,
    Owner, Planted, Retry, Settings, SlotId, SlotSet, State, Target, Totals,
};

/// What this node has asked others: see [`asks`](super).
///
/// Asking and answering cost the same however much is in flight. A change of the map, a link that
/// goes up or down and a tick look at each slot.
#[derive(Debug)]
pub struct Asks<M> {
    settings: Settings,
    pub(super) planted: Planted,
    slots: Box<[OneSlot<M>]>,
    /// The version of the map.
    map: u64,
    /// The nodes whose links are up.
    up: HashSet<NodeIndex, RandomState>,
    /// The slots that this node serves.
    open: SlotSet,
    totals: Totals,
}

/// One slot and what it works with.
fn parts<'a, M, F>(
    asks: &'a mut Asks<M>,
    slot: SlotId,
    out: &'a mut F,
) -> (&'a mut OneSlot<M>, Around<'a, F>) {
    let Asks { settings, planted, slots, totals, .. } = asks;
    let around = Around { slot, settings, planted: *planted, totals, out };
    (&mut slots[slot.index()], around)
}

impl<M> Asks<M> {
    /// Nothing asked, no map, no links, no open slots.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            planted: Planted::default(),
            slots: SlotId::all().map(|_| OneSlot::new(settings.again)).collect(),
            map: 0,
            up: HashSet::default(),
            open: SlotSet::EMPTY,
            totals: Totals::default(),
        }
    }

    /// Bytes of all that is in flight or held.
    pub const fn bytes(&self) -> usize {
        self.totals.bytes
    }

    /// The number of asks and control messages that are in flight or held.
    pub const fn len(&self) -> usize {
        self.totals.count
    }

    /// Whether nothing is in flight or held.
    pub const fn is_empty(&self) -> bool {
        self.totals.count == 0
    }

    /// Of those, how many are held. A tick is needed only while there are any.
    pub const fn held(&self) -> usize {
        self.totals.waiting
    }

    /// What has been counted.
    pub const fn counters(&self) -> &Counters {
        &self.totals.counters
    }

    /// Asks the owner of a slot. `weight` is what the message takes in memory, in bytes.
    ///
    /// # Errors
    /// With the message, if too much is in flight or held.
    pub fn ask(
        &mut self,
        slot: SlotId,
        weight: usize,
        retry: Retry,
        message: M,
        now: Mono,
        out: &mut impl FnMut(Output<'_, M>),
    ) -> Result<(), Full<M>> {
        self.push(slot, weight, Kind::Ask(retry), message, now, out)
    }

    /// Tells the owner of a slot something that is not answered. It must do no harm if it is taken
    /// twice.
    ///
    /// # Errors
    /// With the message, if too much is in flight or held.
    pub fn tell(
        &mut self,
        slot: SlotId,
        weight: usize,
        message: M,
        now: Mono,
        out: &mut impl FnMut(Output<'_, M>),
    ) -> Result<(), Full<M>> {
        self.push(slot, weight, Kind::Tell, message, now, out)
    }

    fn push(
        &mut self,
        slot: SlotId,
        weight: usize,
        kind: Kind,
        message: M,
        now: Mono,
        out: &mut impl FnMut(Output<'_, M>),
    ) -> Result<(), Full<M>> {
        let one = &mut self.slots[slot.index()];
        if one.flow == Flow::Holding {
            one.wake(now);
            self.try_resume(slot, out);
        }
        if self.slots[slot.index()].flow == Flow::Flowing(Target::Here) {
            out(Output::Local { slot, unsure: false, message });
            return Ok(());
        }
        let Settings { hold_bytes, hold_count, .. } = self.settings;
        let (most_bytes, most) = match kind {
            Kind::Ask(_) => (hold_bytes, hold_count),
            Kind::Tell => (hold_bytes + hold_bytes / 8, hold_count + hold_count / 8),
        };
        if self.totals.bytes.saturating_add(weight) > most_bytes || self.totals.count >= most {
            self.totals.counters.full += u64::from(kind != Kind::Tell);
            return Err(Full(message));
        }
        let state = State::Waiting;
        let entry = Entry { kind, state, weight, asked: now, unsure: false, message };
        let (one, mut around) = parts(self, slot, out);
        one.push(entry, &mut around);
        Ok(())
    }

    /// A node has answered an ask. `None` if the ask was not in flight to that node: then the answer is
    /// of no use to anybody.
    pub fn answered(
        &mut self,
        from: NodeIndex,
        id: AskId,
        out: &mut impl FnMut(Output<'_, M>),
    ) -> Option<Answered<M>> {
        let (one, mut around) = parts(self, id.slot(), out);
        let answered = one.answered(from, id.place(), &mut around)?;
        if one.waiting > 0 {
            self.try_resume(id.slot(), out);
        }
        Some(answered)
    }

    /// A node that knew this version of the map did not take these asks for a slot. If the version is
    /// higher than this node's, the slot is held until [`map_changed`](Self::map_changed) has brought
    /// it.
    pub fn bounced(
        &mut self,
        from: NodeIndex,
        ids: &[AskId],
        slot: SlotId,
        map: u64,
        now: Mono,
        out: &mut impl FnMut(Output<'_, M>),
    ) {
        let (one, mut around) = parts(self, slot, out);
        if one.bounced(from, ids, now, &mut around) {
            one.needs_map = one.needs_map.max(map);
            self.try_resume(slot, out);
        }
    }

    /// The map as this node has read it. A lower version than an earlier one is ignored.
    pub fn map_changed(
        &mut self,
        version: u64,
        mut owner: impl FnMut(SlotId) -> Owner,
        out: &mut impl FnMut(Output<'_, M>),
    ) {
        if version < self.map {
            return;
        }
        self.map = version;
        for slot in SlotId::all() {
            let owner = owner(slot);
            let one = &mut self.slots[slot.index()];
            if one.owner != owner {
                one.owner_changed(owner, self.settings.again);
            }
        }
        self.resume_all(out);
    }

    /// This node serves these slots from now on, if the map says that they are its own.
    pub fn opened(&mut self, slots: &SlotSet, out: &mut impl FnMut(Output<'_, M>)) {
        self.open = self.open.with(slots);
        self.resume_all(out);
    }

    /// This node does not serve these slots any more.
    pub fn closed(&mut self, slots: &SlotSet) {
        self.open = self.open.without(slots);
        for slot in slots.iter() {
            let one = &mut self.slots[slot.index()];
            if one.flow == Flow::Flowing(Target::Here) {
                one.flow = Flow::Holding;
            }
        }
    }

    /// The link to a node is up.
    pub fn link_up(&mut self, node: NodeIndex, out: &mut impl FnMut(Output<'_, M>)) {
        self.up.insert(node);
        self.resume_all(out);
    }

    /// The link to a node was reset, or its peer is silent or gone: nothing that was sent is answered
    /// any more.
    pub fn link_down(&mut self, node: NodeIndex, out: &mut impl FnMut(Output<'_, M>)) {
        self.up.remove(&node);
        for slot in SlotId::all() {
            let (one, mut around) = parts(self, slot, out);
            one.link_down(node, &mut around);
        }
        self.resume_all(out);
    }

    /// Whether all that is asked of this slot is given to this node's own directory, and nothing waits.
    pub fn is_given_here(&mut self, slot: SlotId, out: &mut impl FnMut(Output<'_, M>)) -> bool {
        self.try_resume(slot, out);
        self.slots[slot.index()].flow == Flow::Flowing(Target::Here)
    }

    /// Time has passed: sends again what may go on, and gives up what has been held for too long.
    pub fn tick(&mut self, now: Mono, out: &mut impl FnMut(Output<'_, M>)) {
        if self.held() == 0 {
            return;
        }
        for slot in SlotId::all() {
            let one = &mut self.slots[slot.index()];
            if one.waiting == 0 {
                continue;
            }
            one.wake(now);
            self.try_resume(slot, out);
            let (one, mut around) = parts(self, slot, out);
            one.expire(now, &mut around);
        }
    }

    fn resume_all(&mut self, out: &mut impl FnMut(Output<'_, M>)) {
        if self.held() > 0 {
            for slot in SlotId::all() {
                if self.slots[slot.index()].waiting > 0 {
                    self.try_resume(slot, out);
                }
            }
        }
    }

    /// Lets a slot flow if it may.
    fn try_resume(&mut self, slot: SlotId, out: &mut impl FnMut(Output<'_, M>)) {
        let one = &self.slots[slot.index()];
        let may = one.flow == Flow::Holding
            && one.is_decided(self.planted)
            && one.pause.is_none()
            && one.needs_map <= self.map;
        if !may {
            return;
        }
        let target = match one.owner {
            Owner::Here if self.open.contains(slot) => Target::Here,
            Owner::Node(node) if self.up.contains(&node) => Target::Node(node),
            Owner::Here | Owner::Node(_) | Owner::Nobody => return,
        };
        let (one, mut around) = parts(self, slot, out);
        one.resume(target, &mut around);
    }
}
