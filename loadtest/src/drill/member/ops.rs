//! The ops of a client of a drill.

use std::time::Duration;

use greenroom_protocol::WireError;
use greenroom_protocol::results::Sent;
use tokio::time::Instant;

use super::super::pending::{Pending, Standing};
use super::super::record::Post;
use super::Member;
use crate::client::Wire;
use crate::history::{Name, Shape, What};
use crate::run::send;
use crate::stats::Lane;

/// Each client sends one op of this many without a number, and cannot repeat it if its answer is
/// lost.
const ONCE_IN: u64 = 16;

impl Member {
    /// Queues the ops that are due, a new one among them; returns whether there were any.
    pub(super) fn send_ops(&mut self, wire: &mut Wire, now: Instant) -> bool {
        if now >= self.next_op && self.unanswered.len() < self.most && self.is_sending() {
            self.make_op(now);
        }
        let mut any = false;
        for op in self.unanswered.values_mut().filter(|op| op.due.is_some_and(|due| due <= now)) {
            op.due = None;
            if op.standing == Standing::New {
                // Before anything of it is sent.
                self.record.notes.note(op.target, What::Invoked { op: op.name, effect: op.effect });
                op.standing = Standing::Sent;
            }
            op.id = Some(wire.feed(&op.call));
            self.stage.run.board.sent();
            any = true;
        }
        any
    }

    /// Makes a new op, which is due at once.
    fn make_op(&mut self, now: Instant) {
        self.next_op = now + self.stage.load.every;
        let target = self.views[usize::try_from(self.ops).unwrap_or(0) % self.views.len()].target;
        self.ops += 1;
        let (n, t) = (self.ops, self.stage.run.board.now_us());
        let post = Post { client: self.index, n, t };
        let goal = &self.stage.targets[target];
        let (r#type, (body, effect)) = match goal.shape {
            Shape::Room => ("post", post.as_post()),
            Shape::Counters => ("increment", post.as_increment()),
        };
        let name = Name::of(&self.user, r#type, body.as_str());
        let once = n.is_multiple_of(ONCE_IN);
        let call = send(&goal.id, r#type, body, (!once).then_some(n));
        self.unanswered.insert(
            n,
            Pending {
                call,
                target,
                name,
                effect,
                id: None,
                t,
                due: Some(now),
                standing: Standing::New,
                once,
            },
        );
        self.pause.waits(now);
    }

    /// The op that was last sent as this request.
    pub(super) fn asked_as(&self, id: i64) -> Option<u64> {
        self.unanswered.iter().find(|(_, op)| op.id == Some(id)).map(|(n, _)| *n)
    }

    pub(super) fn acknowledged(&mut self, n: u64, Sent { seq, epoch, at, duplicate, .. }: Sent) {
        let Some(op) = self.unanswered.remove(&n) else { return };
        self.record.notes.note(op.target, What::Acked { op: op.name, epoch, seq, at, duplicate });
        self.stage.run.board.record(Lane::Ack, op.t);
        self.stage.acknowledged(self.index, op.target);
        self.pause.heard(Instant::now(), !self.unanswered.is_empty());
    }

    /// Stops waiting for ops that can be neither answered nor repeated.
    pub(super) fn forsake(&mut self) {
        let before = self.unanswered.len();
        self.unanswered.retain(|_, op| !op.is_forlorn());
        self.record.forlorn += (before - self.unanswered.len()) as u64;
    }

    /// An op that was refused for the moment is sent again under its number; any other refusal is
    /// final.
    pub(super) fn refused(&mut self, n: u64, error: &WireError) {
        let Some(op) = self.unanswered.get_mut(&n) else { return };
        if !op.once {
            self.stage.refused(error);
        }
        if op.refused(error.data.code) {
            self.record.notes.note(op.target, What::Refused { op: op.name });
        }
        if op.is_forlorn() {
            self.forsake();
        } else if let Some(ms) = error.data.retry_after_ms {
            op.due = Some(Instant::now() + Duration::from_millis(ms));
        } else {
            self.unanswered.remove(&n);
            self.record
                .failures
                .push(format!("op {n} of client {} was refused: {}", self.index, error.message));
        }
    }
}
