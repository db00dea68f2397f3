//! What a node does about slots on trial: it says that it is about to open them, and that it has
//! served them for long enough, and it ends a quarantine that has lasted long enough.

use std::collections::BTreeMap;

use super::super::change::MapChange;
use super::super::map::ClusterMap;
use super::super::map::trials::Stage;
use super::super::slot::{SlotId, SlotSet};
use super::{Membership, Reason};
use crate::clock::Mono;

/// What the node remembers of slots on trial, by its own clock.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// Since when it has served them.
    served: BTreeMap<SlotId, Mono>,
    /// The version of the map in which a quarantine began, and when the node first read of it.
    quarantined: BTreeMap<SlotId, (u64, Mono)>,
}

impl Watched {
    /// The node serves nothing more.
    pub(super) fn served_nothing(&mut self) {
        self.served.clear();
    }

    /// A map was accepted.
    pub(super) fn accept(&mut self, map: &ClusterMap, now: Mono) {
        let before = std::mem::take(&mut self.quarantined);
        for slot in map.quarantined().iter() {
            let since = map.trials().get(slot).map_or(0, |trial| trial.since);
            let known = before.get(&slot).filter(|(version, _)| *version == since).copied();
            self.quarantined.insert(slot, known.unwrap_or((since, now)));
        }
    }

    /// These slots are served from now on; `open` are all of them.
    pub(super) fn opened(&mut self, map: &ClusterMap, open: &SlotSet, now: Mono) {
        let on_trial = |slot: &SlotId| map.trials().get(*slot).is_some();
        self.served.retain(|slot, _| open.contains(*slot) && on_trial(slot));
        for slot in open.iter().filter(on_trial) {
            self.served.entry(slot).or_insert(now);
        }
    }
}

impl Membership {
    /// Milliseconds until the quarantine of a slot is over, as far as this node knows. `None` if it is
    /// in none.
    pub fn quarantine_left(&self, slot: SlotId, now: Mono) -> Option<u64> {
        let (_, since) = self.watched.quarantined.get(&slot)?;
        Some(self.settings.quarantine.saturating_sub(now.since(*since)))
    }

    /// The slots of this node that it must not open before the map says that it is about to.
    pub(super) fn unannounced(&self) -> SlotSet {
        self.map.trials().in_stage(Stage::Given).both(&self.map.slots_of(self.me.id))
    }

    /// The change that slots on trial need, if one is due.
    pub(super) fn trial_due(&self, now: Mono) -> Option<(MapChange, Reason)> {
        let (me, settings) = (self.me.id, &self.settings);
        if !self.unannounced().is_empty() {
            return Some((MapChange::Opening(me), Reason::Trial));
        }
        let long = |(_, since): &(&SlotId, &Mono)| now.since(**since) >= settings.trial;
        let served: SlotSet =
            self.watched.served.iter().filter(long).map(|(slot, _)| *slot).collect();
        let passed = served.both(&self.open.slots).both(&self.map.slots_of(me));
        let on_trial = |slot: &SlotId| self.map.trials().get(*slot).is_some();
        if passed.iter().any(|slot| on_trial(&slot)) {
            return Some((MapChange::Passed(me, passed), Reason::Trial));
        }
        // One after the other, so that usually one of them makes the change.
        let rank = self.map.peers().iter().position(|peer| peer.id == me)? as u64;
        let quarantine = settings.quarantine.saturating_add(rank * settings.rank);
        let over = |(_, (_, since)): &(&SlotId, &(u64, Mono))| now.since(*since) >= quarantine;
        let over: SlotSet =
            self.watched.quarantined.iter().filter(over).map(|(slot, _)| *slot).collect();
        (!over.is_empty()).then_some((MapChange::EndQuarantine(over), Reason::Trial))
    }
}
