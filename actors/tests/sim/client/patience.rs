//! Checks rate limits: a client that retries when it was told to, while nothing else uses its
//! tokens, is served.

use greenroom_protocol::{ErrorCode, WireError};

use super::Client;

/// The rate limits of one connection.
#[derive(Debug, Default)]
pub struct Patience {
    /// The time to retry, if a request was refused and nothing else is outstanding.
    promised: Option<u64>,
    /// The retry.
    came_back: Option<i64>,
    /// The last request before the latest answer to a ping, which costs as much as a request.
    before_pong: Option<i64>,
}

impl Patience {
    /// Records a request.
    pub(super) fn asks(&mut self, id: i64, now: u64) {
        if let Some(promised) = self.promised.take()
            && now >= promised
        {
            self.came_back = Some(id);
        }
    }

    /// Records an answer to a ping after this request.
    fn answers_ping(&mut self, latest: i64) {
        self.promised = None;
        self.before_pong = Some(latest);
    }

    fn refused(&mut self, id: i64, until: Option<u64>) -> Result<(), String> {
        if self.came_back == Some(id) {
            return Err(format!("request {id} came back as it was told, and is refused again"));
        }
        // Requests still in transit may take this one's tokens.
        self.promised = until.filter(|_| self.before_pong.is_none_or(|before| before < id));
        Ok(())
    }
}

impl Client {
    /// Records an answer to a ping.
    pub fn answers_ping(&mut self) {
        self.patience.answers_ping(self.next_id);
    }

    /// Handles a refusal for a rate. Only the connection's own rate is checked, because others
    /// share the user's and the entity's.
    pub(super) fn over_limit(&mut self, id: i64, error: &WireError) -> Result<(), String> {
        if error.data.code != ErrorCode::RateLimited {
            return Ok(());
        }
        self.stats.rate_limited += 1;
        let Some(wait) = error.data.retry_after_ms else {
            return Err(format!("{error:?} does not say when to come back"));
        };
        if error.data.reason.as_deref() != Some("requests") {
            return Ok(());
        }
        let alone = self.outstanding.is_empty();
        let slack = (wait * self.drift).div_ceil(100);
        self.patience.refused(id, alone.then_some(self.now.0 + wait + slack))
    }
}
