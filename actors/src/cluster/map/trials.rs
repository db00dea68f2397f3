//! Slots on trial: those whose last owner was taken over.
//!
//! An entity that kills its process would walk through the cluster, since each node that takes its
//! slot over would be the next to die. So the map counts, for each slot, the owners in a row that
//! were taken over soon after they had opened it; the one that had served it for long before them is
//! not counted. After [`MOST_DEATHS`] of them the slot is in quarantine: nobody owns it for a while,
//! and then one more node tries.
//!
//! No clocks are compared:
//!
//! * An owner that has served a slot for long enough, by its own clock, says so in the map, which
//!   ends the trial. So a slot that is still on trial when its owner is taken over has had an owner
//!   that died early.
//! * An owner says in the map that it is about to open a slot, before it does so, if an earlier owner
//!   has died early. So a node that was dead already when it was given the slot does not count. The
//!   first owner after a takeover need not say it: an ordinary takeover is not made longer, and one
//!   death that is counted wrongly does no harm.
//! * How long a quarantine lasts, each node measures from when it first read of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::slot::{SlotId, SlotSet};

/// The number of owners in a row that may die early. Then nobody owns the slot for a while.
pub const MOST_DEATHS: u8 = 3;

/// What is known of a slot on trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Trial {
    /// The owners in a row that were taken over soon after they had opened the slot.
    pub deaths: u8,
    /// How far the present owner is.
    pub stage: Stage,
    /// The version of the map in which that stage began.
    pub since: u64,
}

/// How far a slot's owner is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// It was given the slot, and has not said that it opens it.
    Given,
    /// It has opened the slot, or is about to.
    Opened,
    /// There is none, on purpose.
    Quarantined,
}

/// The slots on trial. In the row they are a list of groups that are alike.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Group>", into = "Vec<Group>")]
pub struct Trials(BTreeMap<SlotId, Trial>);

/// Slots whose trials are alike.
#[derive(Debug, Serialize, Deserialize)]
struct Group {
    deaths: u8,
    stage: Stage,
    since: u64,
    slots: Vec<SlotId>,
}

impl From<Vec<Group>> for Trials {
    fn from(groups: Vec<Group>) -> Self {
        let trials = groups.into_iter().flat_map(|Group { deaths, stage, since, slots }| {
            slots.into_iter().map(move |slot| (slot, Trial { deaths, stage, since }))
        });
        Self(trials.collect())
    }
}

impl From<Trials> for Vec<Group> {
    fn from(Trials(trials): Trials) -> Self {
        let mut groups: BTreeMap<Trial, Vec<SlotId>> = BTreeMap::new();
        for (slot, trial) in trials {
            groups.entry(trial).or_default().push(slot);
        }
        let group = |(Trial { deaths, stage, since }, slots)| Group { deaths, stage, since, slots };
        groups.into_iter().map(group).collect()
    }
}

impl Trials {
    /// The trial of a slot; `None` if it is not on trial.
    pub fn get(&self, slot: SlotId) -> Option<&Trial> {
        self.0.get(&slot)
    }

    /// The slots in this stage.
    pub fn in_stage(&self, stage: Stage) -> SlotSet {
        self.0.iter().filter(|(_, trial)| trial.stage == stage).map(|(slot, _)| *slot).collect()
    }

    /// A slot with more deaths than are counted, and their number: the row is damaged.
    pub fn miscounted(&self) -> Option<(SlotId, u8)> {
        let mut counted = self.0.iter().map(|(slot, trial)| (*slot, trial.deaths));
        counted.find(|(_, deaths)| *deaths > MOST_DEATHS)
    }

    /// The owner of these slots was taken over; the others' map has version `since` from now on.
    pub fn owner_died(&mut self, slots: &SlotSet, since: u64) {
        for slot in slots.iter() {
            let next = match self.0.get(&slot) {
                // It had served the slot for long.
                None => Trial { deaths: 0, stage: Stage::Opened, since },
                Some(Trial { deaths, stage: Stage::Opened, .. })
                    if deaths.saturating_add(1) >= MOST_DEATHS =>
                {
                    Trial { deaths: MOST_DEATHS, stage: Stage::Quarantined, since }
                }
                Some(Trial { deaths, stage: Stage::Opened, .. }) => {
                    Trial { deaths: deaths + 1, stage: Stage::Given, since }
                }
                Some(Trial { deaths, stage, .. }) => {
                    Trial { deaths: *deaths, stage: *stage, since }
                }
            };
            self.0.insert(slot, next);
        }
    }

    /// These slots were given another owner by one that lives.
    pub fn owner_changed(&mut self, slots: &SlotSet, since: u64) {
        for slot in slots.iter() {
            if let Some(trial) = self.0.get_mut(&slot).filter(|trial| trial.deaths > 0) {
                *trial = Trial { stage: Stage::Given, since, ..*trial };
            }
        }
    }

    /// The owner of these slots is about to open them. Returns whether that is news.
    pub fn opening(&mut self, slots: &SlotSet, since: u64) -> bool {
        let mut news = false;
        for (_, trial) in self.0.iter_mut().filter(|(slot, _)| slots.contains(**slot)) {
            if trial.stage == Stage::Given {
                *trial = Trial { stage: Stage::Opened, since, ..*trial };
                news = true;
            }
        }
        news
    }

    /// These slots have been served for long enough. Returns whether one of them was on trial.
    pub fn passed(&mut self, slots: &SlotSet) -> bool {
        let before = self.0.len();
        self.0.retain(|slot, _| !slots.contains(*slot));
        self.0.len() < before
    }

    /// The quarantine of these slots is over. One more early death, and it begins again. Returns
    /// whether one of them was in quarantine.
    pub fn end_quarantine(&mut self, slots: &SlotSet, since: u64) -> bool {
        let mut news = false;
        for (_, trial) in self.0.iter_mut().filter(|(slot, _)| slots.contains(**slot)) {
            if trial.stage == Stage::Quarantined {
                *trial = Trial { deaths: MOST_DEATHS - 1, stage: Stage::Given, since };
                news = true;
            }
        }
        news
    }
}
