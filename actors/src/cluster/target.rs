//! Which node is to own which slot: a pure function of the map, the same on all nodes.
//!
//! Each peer has a share of the slots by its weight. A peer that owns no more than its share keeps
//! everything, so no more slots move than have to. The rest is placed in rendezvous order (highest
//! random weight; Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998)
//! among the peers that own less than their share, so that no peer receives more than it.
//!
//! During a deployment the map has peers of two releases. Only those of the newer one receive, up to
//! twice their share, so that a slot moves once and not from one old node to the next.
//!
//! The target is advice: what it says becomes true only by transactions that compare the map. If two
//! releases computed it differently, slots would move to and fro between them, hence the golden test.

use std::cmp::{Ordering, Reverse};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::map::pins::Pin;
use super::map::{ClusterMap, NOBODY, NodeId, Peer, PeerState};
use super::slot::{SLOTS, SlotId, SlotSet, slot_of};

/// The rendezvous weight of a pair: whoever has the highest one comes first.
pub fn score(key: u64, node: NodeId) -> u64 {
    xxh3_64_with_seed(&key.to_le_bytes(), node.0)
}

/// The number of the peer that is to own each slot, by slot; 0 where nobody can receive it.
///
/// * A cordoned peer keeps what it has; the others divide the rest.
/// * A draining peer, and one with weight 0, gives up everything.
/// * What a peer gives up are the slots for which its own rendezvous weight is lowest.
/// * A slot in quarantine is nobody's.
/// * A pinned slot is its node's, as long as that is a member that is up.
pub fn target(map: &ClusterMap) -> Vec<u16> {
    target_avoiding(map, &[])
}

/// The same if these nodes, which may be gone, receive nothing.
pub fn target_avoiding(map: &ClusterMap, avoid: &[NodeId]) -> Vec<u16> {
    let mut plan = Plan::new(map, avoid);
    plan.take_back();
    plan.place();
    plan.slots
}

/// What a node is to hand over: to each receiver its slots, at most `at_once` slots in all. The
/// receivers are in the order of their numbers.
pub fn moves(map: &ClusterMap, me: NodeId, at_once: usize) -> Vec<(NodeId, Vec<SlotId>)> {
    let mut moves: Vec<(NodeId, Vec<SlotId>)> = Vec::new();
    let Some(own) = map.peer(me).map(|peer| peer.number) else { return moves };
    let target = target(map);
    let leaving = SlotId::all().filter(|slot| {
        let to = target[slot.index()];
        map.slots()[slot.index()] == own && to != own && to != NOBODY
    });
    let mut leaving: Vec<_> = leaving.map(|slot| (target[slot.index()], slot)).collect();
    leaving.sort_unstable();
    for (number, slot) in leaving.into_iter().take(at_once) {
        let Some(to) = map.peer_numbered(number).map(|peer| peer.id) else { continue };
        match moves.last_mut().filter(|(receiver, _)| *receiver == to) {
            Some((_, slots)) => slots.push(slot),
            None => moves.push((to, vec![slot])),
        }
    }
    moves
}

/// What a node is to hand over at once because it is pinned: the receiver with the lowest number, and
/// its slots, at most `at_once`.
pub fn pinned_elsewhere(map: &ClusterMap, me: NodeId, at_once: usize) -> Option<(NodeId, SlotSet)> {
    let own = map.slots_of(me);
    let pinned = |pin: &Pin| {
        let slot = slot_of(&pin.entity);
        let to = map.pinned_to(slot).filter(|peer| peer.id != me && own.contains(slot))?;
        Some((to.number, to.id, slot))
    };
    let mut leaving: Vec<_> = map.pins().iter().filter_map(pinned).collect();
    leaving.sort_unstable();
    let (_, to, _) = *leaving.first()?;
    let slots = leaving.iter().filter(|(_, id, _)| *id == to).map(|(.., slot)| *slot);
    Some((to, slots.take(at_once).collect()))
}

/// Compares two releases as semantic versioning does, without what follows a `+`: the parts between
/// dots as numbers, and a pre-release (`1.2.0-rc.1`) before its release. Parts that are not numbers
/// are compared as text, and come after numbers.
pub fn compare_versions(a: &str, b: &str) -> Ordering {
    fn parts(text: &str) -> impl Iterator<Item = (Option<u64>, &str)> {
        text.split('.').map(|part| match part.parse() {
            Ok(number) => (Some(number), ""),
            Err(_) => (None, part),
        })
    }
    fn compare(a: &str, b: &str) -> Ordering {
        let key = |(number, text): (Option<u64>, &str)| (number.is_none(), number, text.to_owned());
        parts(a).map(key).cmp(parts(b).map(key))
    }
    let split = |text: &str| {
        let text = text.split('+').next().unwrap_or_default();
        let (release, pre) = text.split_once('-').unwrap_or((text, ""));
        (release.trim_start_matches('v').to_owned(), pre.to_owned())
    };
    let ((a, a_pre), (b, b_pre)) = (split(a), split(b));
    compare(&a, &b)
        .then_with(|| a_pre.is_empty().cmp(&b_pre.is_empty()))
        .then_with(|| compare(&a_pre, &b_pre))
}

/// A peer while the slots are placed.
struct Place<'a> {
    peer: &'a Peer,
    /// The slots that it keeps or receives, so far.
    owns: usize,
    /// What it is to own by its weight; 0 unless it may receive.
    share: usize,
    receives: Receives,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Receives {
    /// It owns a share, and runs the newest release.
    Newest,
    /// It owns a share, and receives only what the newest cannot.
    Older,
    /// It keeps what it has.
    Cordoned,
    /// It is to own nothing.
    Nothing,
}

struct Plan<'a> {
    places: Vec<Place<'a>>,
    /// Whether there are peers of more than one release.
    mixed: bool,
    slots: Vec<u16>,
    /// Slots that are to have no owner.
    quarantined: SlotSet,
    /// Slots that are where they are to stay.
    pinned: SlotSet,
}

impl<'a> Plan<'a> {
    fn new(map: &'a ClusterMap, avoid: &[NodeId]) -> Self {
        let mut peers: Vec<&Peer> = map.peers().iter().collect();
        peers.sort_unstable_by_key(|peer| peer.id);
        let usual = |peer: &Peer| match peer.state {
            PeerState::Up if peer.weight > 0 => Receives::Older,
            PeerState::Up | PeerState::Draining => Receives::Nothing,
            PeerState::Cordoned | PeerState::Deaf => Receives::Cordoned,
        };
        let mut owned = vec![0_usize; usize::from(u16::MAX) + 1];
        for number in map.slots() {
            owned[usize::from(*number)] += 1;
        }
        let mut places: Vec<_> = peers
            .iter()
            .map(|peer| Place {
                peer,
                owns: owned[usize::from(peer.number)],
                share: 0,
                receives: match usual(peer) {
                    Receives::Older if avoid.contains(&peer.id) => Receives::Cordoned,
                    receives => receives,
                },
            })
            .collect();
        let able = |place: &&Place<'_>| place.receives == Receives::Older;
        let newest = places
            .iter()
            .filter(able)
            .map(|place| &*place.peer.version)
            .max_by(|a, b| compare_versions(a, b));
        let mut mixed = false;
        if let Some(newest) = newest {
            for place in &mut places {
                let same = compare_versions(&place.peer.version, newest).is_eq();
                mixed |= !same;
                if same && place.receives == Receives::Older {
                    place.receives = Receives::Newest;
                }
            }
        }
        let (slots, quarantined) = (map.slots().to_vec(), map.quarantined());
        let mut plan = Self { places, mixed, slots, quarantined, pinned: SlotSet::EMPTY };
        plan.pin(map);
        plan.divide();
        plan
    }

    /// Gives pinned slots to the peers that they are pinned to.
    fn pin(&mut self, map: &ClusterMap) {
        for slot in map.pins().iter().map(|pin| slot_of(&pin.entity)) {
            let Some(to) = map.pinned_to(slot) else { continue };
            let able = |place: &Place<'_>| {
                place.peer.id == to.id
                    && matches!(place.receives, Receives::Newest | Receives::Older)
            };
            if self.quarantined.contains(slot) || !self.places.iter().any(able) {
                continue;
            }
            let from = std::mem::replace(&mut self.slots[slot.index()], to.number);
            for place in &mut self.places {
                place.owns -= usize::from(place.peer.number == from);
                place.owns += usize::from(place.peer.number == to.number);
            }
            self.pinned.insert(slot);
        }
    }

    /// Gives each peer its share: the largest remainder method, with ties by id.
    fn divide(&mut self) {
        let kept = self.places.iter().filter(|place| place.receives == Receives::Cordoned);
        let divided = usize::from(SLOTS) - kept.map(|place| place.owns).sum::<usize>();
        let mut able: Vec<_> = self
            .places
            .iter_mut()
            .filter(|place| matches!(place.receives, Receives::Newest | Receives::Older))
            .collect();
        let weights: usize = able.iter().map(|place| usize::from(place.peer.weight)).sum();
        if weights == 0 {
            return;
        }
        for place in &mut able {
            place.share = divided * usize::from(place.peer.weight) / weights;
        }
        let given: usize = able.iter().map(|place| place.share).sum();
        // By remainder, and by id where it is the same: they are in the order of their ids.
        able.sort_by_key(|place| Reverse(divided * usize::from(place.peer.weight) % weights));
        for place in able.iter_mut().take(divided - given) {
            place.share += 1;
        }
    }

    /// Makes what peers have too much into slots without owner.
    fn take_back(&mut self) {
        // Old nodes keep what exceeds their share if there is no space for it on newer ones.
        let newer = |place: &&Place<'_>| place.receives == Receives::Newest;
        let space = |place: &Place<'_>| self.limit(place).saturating_sub(place.owns);
        let mut space: usize = self.places.iter().filter(newer).map(space).sum();
        let first = |receives| match receives {
            Receives::Nothing => 0,
            Receives::Newest | Receives::Older | Receives::Cordoned => 1,
        };
        let unowned = self.slots.iter().filter(|number| **number == NOBODY).count();
        space = space.saturating_sub(unowned - self.quarantined.len());
        let mut order: Vec<_> = (0..self.places.len()).collect();
        order.sort_by_key(|at| first(self.places[*at].receives));
        for at in order {
            let place = &self.places[at];
            let over = place.owns.saturating_sub(self.limit(place));
            let over = match place.receives {
                Receives::Nothing => over,
                Receives::Newest if !self.mixed => over,
                Receives::Newest | Receives::Older => over.min(space),
                Receives::Cordoned => 0,
            };
            let (number, id) = (place.peer.number, place.peer.id);
            let own = SlotId::all()
                .filter(|slot| self.slots[slot.index()] == number && !self.pinned.contains(*slot));
            let mut own: Vec<_> = own.collect();
            let over = over.min(own.len());
            space = space.saturating_sub(over);
            own.sort_unstable_by_key(|slot| (score(u64::from(slot.number()), id), *slot));
            for slot in own.into_iter().take(over) {
                self.slots[slot.index()] = NOBODY;
            }
            self.places[at].owns -= over;
        }
    }

    /// Gives each slot without owner to somebody.
    fn place(&mut self) {
        for slot in SlotId::all() {
            if self.slots[slot.index()] == NOBODY
                && !self.quarantined.contains(slot)
                && let Some(at) = self.receiver(slot)
            {
                self.places[at].owns += 1;
                self.slots[slot.index()] = self.places[at].peer.number;
            }
        }
    }

    /// Who receives a slot: a newest peer below its share, or below its limit, or any below its
    /// share; of several the one with the highest rendezvous weight for the slot.
    fn receiver(&self, slot: SlotId) -> Option<usize> {
        let best = |may: &dyn Fn(&Place<'_>) -> bool| {
            let able = self.places.iter().enumerate().filter(|(_, place)| may(place));
            let scored =
                able.map(|(at, place)| (score(u64::from(slot.number()), place.peer.id), at));
            scored.max().map(|(_, at)| at)
        };
        let newest = |place: &Place<'_>| place.receives == Receives::Newest;
        best(&|place| newest(place) && place.owns < place.share)
            .or_else(|| best(&|place| newest(place) && place.owns < self.limit(place)))
            .or_else(|| best(&|place| place.owns < place.share))
    }

    /// How many slots a peer may keep.
    fn limit(&self, place: &Place<'_>) -> usize {
        match place.receives {
            Receives::Newest if self.mixed => 2 * place.share,
            Receives::Newest | Receives::Older => place.share,
            Receives::Cordoned => place.owns,
            Receives::Nothing => 0,
        }
    }
}

#[cfg(test)]
pub(in crate::cluster) mod tests;
