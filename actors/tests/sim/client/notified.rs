//! Checks notifications.

use greenroom_protocol::notify::GoodbyeReason;
use greenroom_protocol::params::EventPolicy;
use greenroom_protocol::results::{Event, SnapshotReason};
use greenroom_protocol::{Position, RawJson, Seq, notify};

use super::Client;
use super::checks::{check_run, check_state, parse};
use crate::truth::Truth;

impl Client {
    pub(super) fn notified(
        &mut self,
        method: &str,
        params: &RawJson,
        truth: &Truth,
    ) -> Result<(), String> {
        match method {
            "event" => self.event(&parse(params)?, truth),
            "reset" => self.reset(parse(params)?, truth),
            "signal" => self.signalled(&parse(params)?, truth),
            "presence" => self.crowd_changed(&parse(params)?),
            "unsubscribed" => self.subscription_ended(&parse(params)?),
            "left" => self.presence_ended(&parse(params)?),
            "goodbye" => {
                let goodbye: notify::Goodbye = parse(params)?;
                match goodbye.reason {
                    GoodbyeReason::TokenExpiring => self.rights.warned(),
                    GoodbyeReason::ShuttingDown => self.goodbye = true,
                }
                Ok(())
            }
            other => Err(format!("a notification `{other}`")),
        }
    }

    fn event(&mut self, event: &Event, truth: &Truth) -> Result<(), String> {
        let entity = event.entity.clone().ok_or("an event without its entity")?;
        let follow = self.follows.entry(entity.clone()).or_default();
        let wanted = follow.live.is_some_and(|terms| terms.events != EventPolicy::None);
        let Some(position) = follow.position.as_mut().filter(|_| wanted) else {
            return Err(format!(
                "event {} of `{entity}` without a subscription to events",
                event.seq
            ));
        };
        check_run(
            &truth.logs.0[&entity],
            position.seq,
            std::slice::from_ref(event),
            Seq::ZERO,
            &format!("`{entity}` live"),
        )?;
        position.seq = event.seq;
        self.stats.events += 1;
        self.saw(&entity, event.seq);
        Ok(())
    }

    fn reset(&mut self, reset: notify::Reset, truth: &Truth) -> Result<(), String> {
        let follow = self.follows.entry(reset.entity.clone()).or_default();
        let Some(position) = follow.position.clone().filter(|_| follow.live.is_some()) else {
            return Err(format!("a reset of `{}` without a subscription", reset.entity));
        };
        let empty_log = position.seq == Seq::ZERO;
        if reset.seq < position.seq || (reset.reason == SnapshotReason::EpochChanged && !empty_log)
        {
            return Err(format!(
                "a reset from {position:?} to {} because of {:?}",
                reset.seq, reset.reason
            ));
        }
        check_state(&truth.logs.0[&reset.entity], reset.seq, &reset.snapshot, "reset")?;
        follow.position = Some(Position { epoch: reset.epoch, seq: reset.seq });
        self.stats.resets += 1;
        self.saw(&reset.entity, reset.seq);
        Ok(())
    }
}
