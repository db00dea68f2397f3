//! Planted bugs between entities and relays.

use greenroom_actors::entity::FetchFor;
use greenroom_actors::messages::{Part, ToEntity, ToRelay};

use super::Node;
use crate::bugs::Bug;

impl Node {
    pub(super) fn spoil(&mut self, worker: usize, message: ToRelay) -> ToRelay {
        let ToRelay::Parts { entity, mut parts } = message else { return message };
        match self.bug {
            Some(Bug::GapOnSubscribe) => begin_behind(&mut parts),
            Some(Bug::SignalTwice) => {
                let twice = |part| match part {
                    Part::Signal { frames, from, key } => {
                        vec![
                            Part::Signal { frames: frames.clone(), from, key },
                            Part::Signal { frames, from, key },
                        ]
                    }
                    part => vec![part],
                };
                parts = parts.into_iter().flat_map(twice).collect();
            }
            Some(Bug::PageForAnother) => {
                for part in &parts {
                    let Part::CaughtUp { spec, frame: Some(frame), .. } = part else { continue };
                    let Some(index) =
                        self.misdirected.iter().position(|session| *session == spec.session)
                    else {
                        continue;
                    };
                    self.misdirected.swap_remove(index);
                    if let Some(seat) = self.envs[worker]
                        .relay
                        .borrow()
                        .seats()
                        .find(|seat| seat.key == spec.session)
                    {
                        seat.outbox.push(frame.clone());
                    }
                }
            }
            Some(Bug::GoesOnAfterTheEnd) => parts.retain(|part| !matches!(part, Part::Left { .. })),
            _ => {}
        }
        ToRelay::Parts { entity, parts }
    }

    /// Gives a `subscribe` behind a `connect` a number from before the entries of that `connect`.
    pub(super) fn number_too_soon(&self, message: &mut ToEntity) {
        if let (Some(Bug::NumberedTooSoon), ToEntity::Subscribe(request)) = (self.bug, message)
            && !request.reply.is_entry()
        {
            request.spec.number = 1;
        }
    }
}

impl Node {
    /// Uses a page that was read for one subscription for the one that has replaced it.
    pub(super) fn misdirect(&mut self, uid: u64, purpose: &mut FetchFor) {
        let (Some(Bug::PageForAnother), FetchFor::CatchUp(request)) = (self.bug, purpose) else {
            return;
        };
        let session = request.spec.session;
        let entity = self.procs.get(&uid).and_then(|proc| proc.life().awake());
        let latest =
            entity.and_then(|entity| entity.followers().find(|(other, _)| *other == session));
        if let Some((_, number)) = latest.filter(|(_, number)| *number != request.spec.number) {
            request.spec.number = number;
            self.misdirected.push(session);
        }
    }
}

/// Makes a subscription begin after events that are released together with it.
fn begin_behind(parts: &mut Vec<Part>) {
    let mut index = 0;
    while index + 1 < parts.len() {
        if let (Part::Joined { .. }, Part::Events { last, .. }) = (&parts[index], &parts[index + 1])
        {
            let last = *last;
            drop(parts.remove(index + 1));
            if let Part::Joined { seq, .. } = &mut parts[index] {
                *seq = last;
            }
        }
        index += 1;
    }
}
