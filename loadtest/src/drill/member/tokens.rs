//! The tokens of a client of a drill, which it presents on its connection.

use std::time::Duration;

use greenroom_protocol::params::Connect;
use greenroom_protocol::{Call, EntityId, WireError};
use tokio::time::Instant;

use super::super::view::View;
use super::Member;
use crate::client::{Failure, Wire};

impl Member {
    /// What a token without this lets it read.
    pub(super) fn readable(&self, without: usize) -> Vec<EntityId> {
        let others = self.views.iter().enumerate().filter(|(view, _)| *view != without);
        others.map(|(_, view)| self.stage.targets[view.target].id.clone()).collect()
    }

    /// When another token is due. None takes a right while a subscription is on its way, so that
    /// what must come of it is known.
    pub(super) fn refresh_due(&self) -> Option<Instant> {
        let ready = self.rights.without().is_some() || self.views.iter().all(View::is_settled);
        self.rights.due(self.is_sending()).filter(|_| ready)
    }

    /// Presents another token, if one is due, and returns whether it did: one without a right, or
    /// one that gives it back, and behind that one the subscription, before its answer.
    pub(super) fn refresh(&mut self, wire: &mut Wire, now: Instant) -> Result<bool, Failure> {
        if self.refresh_due().is_none_or(|due| due > now) {
            return Ok(false);
        }
        let back = self.rights.without();
        let without = back.is_none().then(|| fastrand::usize(..self.views.len()));
        let reads = without.map(|without| self.readable(without));
        let token = self.stage.run.target.token(&self.name(), reads.as_deref())?;
        let client = Some(self.client.clone());
        let id = wire.feed(&Call::Connect(Connect { token, client, ..Connect::default() }));
        self.rights.present(id, without);
        if let Some(view) = back {
            self.subscribe(wire, view);
        }
        Ok(true)
    }

    /// Takes an answer, if it is that of a token; `refusal` is why it was not accepted.
    pub(super) fn refreshed(&mut self, id: i64, refusal: Option<&WireError>) -> bool {
        let now = Instant::now();
        let Some(without) = self.rights.answered(id, refusal.is_none(), now) else { return false };
        match (refusal, without) {
            (Some(error), _) => match error.data.retry_after_ms {
                Some(ms) => self.rights.retry(now + Duration::from_millis(ms)),
                None => self.fail(format_args!("was refused a newer token: {}", error.message)),
            },
            (None, Some(view)) => {
                self.record.revocations += 1;
                self.unfollow(view);
            }
            (None, None) => {
                if std::mem::take(&mut self.rights.farewell) {
                    self.fail("was not notified that a subscription has ended");
                }
            }
        }
        true
    }
}
