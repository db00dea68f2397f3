//! The parts of a request that its refusal needs.

use greenroom_protocol::{Call, EntityId, Malformed, Request, RequestId};

use crate::metrics::UNKNOWN_METHOD;

/// See the module's documentation.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// Also a metric's label.
    pub method: &'static str,
    /// `None` if no answer is expected.
    pub id: Option<&'a RequestId>,
    pub entity: Option<&'a EntityId>,
}

impl<'a> Head<'a> {
    pub fn of(decoded: &'a Result<Request, Malformed>) -> Self {
        match decoded {
            Ok(Request { id, call }) => Self::of_call(id.as_ref(), call),
            Err(malformed) => {
                Self { method: UNKNOWN_METHOD, id: malformed.id.as_ref(), entity: None }
            }
        }
    }

    pub const fn of_call(id: Option<&'a RequestId>, call: &'a Call) -> Self {
        Self { method: call.method(), id, entity: call.entity() }
    }

    pub const fn of_connect(id: Option<&'a RequestId>) -> Self {
        Self { method: "connect", id, entity: None }
    }

    /// Whether the request is a signal, which may be dropped.
    pub fn is_signal(self) -> bool {
        self.method == "signal"
    }
}
