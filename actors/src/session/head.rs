//! What of a request its refusal needs.

use greenroom_protocol::{Call, EntityId, Malformed, Request, RequestId};

use crate::metrics::UNKNOWN_METHOD;

/// See the module's head.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// Its method, also a metric's label.
    pub method: &'static str,
    /// What to answer to.
    pub id: Option<&'a RequestId>,
    /// Where it was sent.
    pub entity: Option<&'a EntityId>,
}

impl<'a> Head<'a> {
    /// Of what was decoded.
    pub fn of(decoded: &'a Result<Request, Malformed>) -> Self {
        match decoded {
            Ok(Request { id, call }) => Self::of_call(id.as_ref(), call),
            Err(malformed) => {
                Self { method: UNKNOWN_METHOD, id: malformed.id.as_ref(), entity: None }
            }
        }
    }

    /// Of a request.
    pub const fn of_call(id: Option<&'a RequestId>, call: &'a Call) -> Self {
        Self { method: call.method(), id, entity: call.entity() }
    }

    /// Of a `connect`.
    pub const fn of_connect(id: Option<&'a RequestId>) -> Self {
        Self { method: "connect", id, entity: None }
    }

    /// Whether it is a signal: volatile, so it may be dropped.
    pub fn is_signal(self) -> bool {
        self.method == "signal"
    }
}
