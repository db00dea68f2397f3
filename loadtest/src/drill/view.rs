//! One thing that a client of a drill follows.

use greenroom_protocol::Position;
use tokio::time::Instant;

use crate::history::Moment;

#[derive(Default)]
pub struct View {
    pub target: usize,
    /// Where the client stands.
    pub position: Option<Position>,
    /// Whether events may come, as far as the history knows.
    pub follows: bool,
    /// The request to unsubscribe that waits for its answer.
    pub leaving: Option<i64>,
    /// The request to subscribe again that waits for its answer.
    pub coming: Option<Coming>,
    /// When to subscribe again, if nothing else does.
    pub due: Option<Instant>,
}

/// A request to subscribe.
pub struct Coming {
    pub id: i64,
    /// The moment before it was sent.
    pub asked: Moment,
    /// The position that it gave.
    pub after: Option<Position>,
}

impl View {
    pub fn of(target: usize) -> Self {
        Self { target, ..Self::default() }
    }

    /// The connection is lost, and with it every request.
    pub fn lost(&mut self) {
        *self = Self {
            target: self.target,
            position: self.position.take(),
            follows: self.follows,
            ..Self::default()
        };
    }

    /// Whether it follows and nothing is about to change that.
    pub fn is_settled(&self) -> bool {
        self.follows && self.leaving.is_none() && self.coming.is_none() && self.due.is_none()
    }
}
