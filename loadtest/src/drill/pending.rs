//! Ops that wait for their answer, and what a refusal says about them.

use greenroom_protocol::{Call, ErrorCode};
use tokio::time::Instant;

use crate::history::{Effect, Name};

/// An op that waits for its answer.
pub struct Pending {
    pub call: Call,
    pub target: usize,
    pub name: Name,
    pub effect: Effect,
    /// The request it was last sent as on this connection.
    pub id: Option<i64>,
    pub t: u64,
    /// When it is to be sent, for the first time or again.
    pub due: Option<Instant>,
    pub standing: Standing,
    /// Whether it has no number, so that it must not be repeated while there is doubt.
    pub once: bool,
}

/// What is known of an op that will be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It was not sent yet, or surely not done: its next sending is an invocation.
    New,
    Sent,
    /// An earlier sending may have been done, whatever is said about the next.
    InDoubt,
}

impl Pending {
    /// It has to be sent again on a new connection, where its old request means nothing.
    pub fn lost(&mut self, now: Instant) {
        if self.id.take().is_some() {
            self.standing = Standing::InDoubt;
        }
        self.due = Some(now);
    }

    /// Whether nobody will ever know what became of it.
    pub fn is_forlorn(&self) -> bool {
        self.once && self.standing == Standing::InDoubt
    }

    /// Takes a refusal; returns whether the op was definitely not executed.
    pub fn refused(&mut self, code: ErrorCode) -> bool {
        self.id = None;
        let sure = self.standing == Standing::Sent && is_sure(code);
        self.standing = if sure { Standing::New } else { Standing::InDoubt };
        sure
    }
}

/// Whether this error means that nothing was done. That the outcome is not known, or not any more,
/// does not.
fn is_sure(code: ErrorCode) -> bool {
    !matches!(
        code,
        ErrorCode::Unavailable
            | ErrorCode::Internal
            | ErrorCode::OpExpired
            | ErrorCode::ShuttingDown
    )
}

#[cfg(test)]
mod tests {
    use greenroom_protocol::params;

    use super::*;

    fn sent() -> Pending {
        let entity = "room:a".parse().expect("it is an entity id");
        let call = Call::Read(params::Target { entity });
        Pending {
            call,
            target: 0,
            name: Name(1),
            effect: Effect::Post,
            id: Some(1),
            t: 0,
            due: None,
            standing: Standing::Sent,
            once: false,
        }
    }

    #[test]
    fn only_what_leaves_no_doubt_counts_as_refused() {
        assert!(sent().refused(ErrorCode::RateLimited));
        assert!(sent().refused(ErrorCode::Conflict));
        for code in [ErrorCode::Unavailable, ErrorCode::OpExpired, ErrorCode::ShuttingDown] {
            let mut op = sent();
            assert!(!op.refused(code), "{code:?}");
            op.id = Some(2);
            assert!(
                !op.refused(ErrorCode::RateLimited),
                "the first sending may still have been done"
            );
        }
        let mut op = sent();
        op.lost(Instant::now());
        assert_eq!((op.id, op.standing), (None, Standing::InDoubt));
        assert!(!op.refused(ErrorCode::RateLimited));
        let mut op = sent();
        assert!(op.refused(ErrorCode::RateLimited));
        op.lost(Instant::now());
        assert_eq!(op.standing, Standing::New, "it was not under way");

        let mut op = Pending { once: true, ..sent() };
        assert!(op.refused(ErrorCode::RateLimited) && !op.is_forlorn());
        (op.id, op.standing) = (Some(2), Standing::Sent);
        op.lost(Instant::now());
        assert!(op.is_forlorn());
    }
}
