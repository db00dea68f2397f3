//! Signals, one by one and in runs.

use greenroom_protocol::EntityId;
use greenroom_protocol::params::SignalPolicy;

use super::{Relay, Seat};
use crate::frames::Frames;
use crate::ids::SessionKey;
use crate::outbox::SignalPush;
use crate::relay::runs::{Joined, QueuedSignal, Run};

impl Relay {
    /// Sends a run of signals.
    pub(super) fn signals(&self, run: &mut Run) {
        let Some((entity, signals)) = run.take() else { return };
        if let [QueuedSignal { frames, from, key }] = &signals[..] {
            return self.signal(&entity, frames, *from, *key);
        }
        let Some(audience) = self.audiences.get(&entity) else { return };
        let mut joined = Joined::default();
        let mut delivered = 0;
        let count = u32::try_from(signals.len()).unwrap_or(u32::MAX);
        for sub in audience.subs.iter().filter(|sub| sub.spec.signals != SignalPolicy::None) {
            let Some(seat) = self.seats.get(sub.spec.session) else { continue };
            let own = signals.iter().any(|signal| signal.from == sub.spec.session);
            if own || sub.spec.signals == SignalPolicy::Latest {
                for QueuedSignal { frames, key, .. } in
                    signals.iter().filter(|signal| signal.from != sub.spec.session)
                {
                    delivered += self.signal_one(seat, sub.spec.signals, frames, *key);
                }
                continue;
            }
            let frames = joined.get(seat.codec, &signals);
            if !frames.is_empty() {
                delivered += self.pushed(seat.outbox.push_signals(frames.clone(), count, None));
            }
        }
        self.metrics.signals.increment(delivered);
    }

    pub(super) fn signal(&self, entity: &EntityId, frames: &Frames, from: SessionKey, key: u64) {
        let Some(audience) = self.audiences.get(entity) else { return };
        let mut delivered = 0;
        for sub in audience
            .subs
            .iter()
            .filter(|sub| sub.spec.session != from && sub.spec.signals != SignalPolicy::None)
        {
            let Some(seat) = self.seats.get(sub.spec.session) else { continue };
            delivered += self.signal_one(seat, sub.spec.signals, frames, key);
        }
        self.metrics.signals.increment(delivered);
    }

    fn signal_one(&self, seat: &Seat, policy: SignalPolicy, frames: &Frames, key: u64) -> u64 {
        let Some(frame) = frames.get(seat.codec) else { return 0 };
        let latest = (policy == SignalPolicy::Latest).then_some(key);
        self.pushed(seat.outbox.push_signals(frame.clone(), 1, latest))
    }

    /// Counts the outcome of pushed signals. Returns the number that were queued.
    fn pushed(&self, outcome: SignalPush) -> u64 {
        let SignalPush { queued, replaced, dropped } = outcome;
        if replaced > 0 {
            self.metrics.replaced.increment(replaced);
        }
        if dropped > 0 {
            self.metrics.dropped_oldest.increment(dropped);
        }
        queued
    }
}
