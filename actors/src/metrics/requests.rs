//! Requests by method and outcome.

use greenroom_protocol::{Call, ErrorCode};
use metrics::Counter;

use super::REQUESTS;

/// The label of a request whose method could not be read.
pub const UNKNOWN_METHOD: &str = "unknown";

/// The handles of the outcome that is the rule; errors are looked up as they come.
#[derive(Clone)]
pub struct RequestMetrics {
    ok: [Counter; Call::METHODS.len()],
}

impl RequestMetrics {
    /// The handles.
    #[expect(
        clippy::new_without_default,
        reason = "registers with the recorder, which a default should not"
    )]
    pub fn new() -> Self {
        Self { ok: Call::METHODS.map(|method| REQUESTS.counter_with([method, "ok"])) }
    }

    /// A request was answered.
    pub fn answered(&self, method: &'static str, error: Option<ErrorCode>) {
        let place = Call::METHODS.iter().position(|known| *known == method);
        match (error, place) {
            (None, Some(place)) => self.ok[place].increment(1),
            (None, None) => REQUESTS.counter_with([UNKNOWN_METHOD, "ok"]).increment(1),
            (Some(code), _) => REQUESTS.counter_with([method, code.as_str()]).increment(1),
        }
    }
}

impl std::fmt::Debug for RequestMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestMetrics").finish_non_exhaustive()
    }
}
