//! Rate limits, as a client meets them: who comes back when it was told to, and to nobody else's
//! cost, is let in.

use greenroom_protocol::{ErrorCode, WireError};

use super::Client;

/// See the module's head. Of one connection.
#[derive(Debug, Default)]
pub struct Patience {
    /// It was refused, waits for nothing else, and is to come back at this time.
    promised: Option<u64>,
    /// The request that it came back with.
    came_back: Option<i64>,
    /// The last request before its latest answer to a ping, which costs as much as a request.
    before_pong: Option<i64>,
}

impl Patience {
    /// It makes a request.
    pub(super) fn asks(&mut self, id: i64, now: u64) {
        if let Some(promised) = self.promised.take()
            && now >= promised
        {
            self.came_back = Some(id);
        }
    }

    /// It answers a ping after this request.
    fn answers_ping(&mut self, latest: i64) {
        self.promised = None;
        self.before_pong = Some(latest);
    }

    fn refused(&mut self, id: i64, until: Option<u64>) -> Result<(), String> {
        if self.came_back == Some(id) {
            return Err(format!("request {id} came back as it was told, and is refused again"));
        }
        // What is still on its way takes tokens that this one may not find.
        self.promised = until.filter(|_| self.before_pong.is_none_or(|before| before < id));
        Ok(())
    }
}

impl Client {
    /// It answers a ping.
    pub fn answers_ping(&mut self) {
        self.patience.answers_ping(self.next_id);
    }

    /// It is over a limit. Its user's limit and an entity's are spent by others too.
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
        self.patience.refused(id, alone.then_some(self.now.0 + wait))
    }
}
