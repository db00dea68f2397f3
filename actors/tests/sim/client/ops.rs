//! Ops and their outcomes.

use greenroom_actors::record::EventRecord;
use greenroom_protocol::params;
use greenroom_protocol::results::Sent;
use greenroom_protocol::{Call, EntityId, ErrorCode, RawJson, Seq, WireError};
use serde_json::json;

use super::{Asked, Client};
use crate::truth::Truth;

/// The final answer to an op.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Accepted(Seq),
    /// By the behaviour, or because of `if_seq`.
    Refused,
    /// The outcome is no longer known.
    Expired,
}

#[derive(Debug, Clone)]
pub struct Op {
    pub entity: EntityId,
    /// The client id at the time when the op was made.
    pub ulid: String,
    pub n: u64,
    r#type: &'static str,
    body: RawJson,
    if_seq: Option<Seq>,
    /// When the op was first sent, by the server's clock. Only some clients state it.
    first_sent: Option<u64>,
    /// Whether it was sent on this connection and is not answered.
    in_flight: bool,
    pub attempts: u32,
    /// Whether all finished attempts were refused without being executed, so that the op cannot be
    /// in the log.
    nowhere: bool,
    /// The connection on which the op was last sent, and its place among all that was sent.
    pub sent: (u64, u64),
    /// The step at which the op was first sent.
    pub invoked: u64,
    /// The step at which it was last sent.
    resent: u64,
    /// The step of its answer.
    pub answered: Option<(u64, Outcome)>,
}

impl Op {
    pub(super) fn disconnected(&mut self) {
        self.nowhere &= !self.in_flight;
        self.in_flight = false;
    }

    /// Whether, by all answers so far, the op is not in the log.
    pub fn is_nowhere(&self) -> bool {
        self.nowhere
    }

    /// Checks whether the op may be written now.
    pub fn may_be_written(&self, entity: &EntityId, event: &EventRecord) -> Result<(), String> {
        let what = format!("op {} of {} at {} of `{entity}`", self.n, self.ulid, event.seq);
        if *entity != self.entity || *event.r#type != *self.r#type || event.body != self.body {
            return Err(format!("{what} is {event:?}, and {self:?} was sent"));
        }
        match self.answered {
            _ if self.attempts == 0 => Err(format!("{what} was not sent yet")),
            Some((_, Outcome::Expired)) => {
                Err(format!("{what} is executed after it was said to be too old for that"))
            }
            _ if self.nowhere && !self.in_flight => {
                Err(format!("{what} is executed though it was refused"))
            }
            _ => Ok(()),
        }
    }
}

impl Client {
    /// A new op of a random type that the entity's behaviour knows. Some will be refused.
    pub fn new_op(&mut self, entity: &EntityId, rng: &mut fastrand::Rng) {
        let n = self.ops.len() as u64 + 1;
        let by = &self.name;
        let pad = "x".repeat(rng.usize(..400));
        let latest = self.seen(entity).saturating_sub(rng.u64(..3));
        let post = json!({"by": by, "n": n, "pad": pad});
        let (r#type, body) = match (entity.kind(), rng.u8(..8)) {
            ("room", 0) if n.is_multiple_of(3) => {
                ("purge", json!({"seq": rng.u64(..=self.seen(entity).get())}))
            }
            ("room", 0) => ("delete", json!({"seq": latest})),
            ("room", 1) => ("react", json!({"seq": latest, "emoji": "+"})),
            ("room", 2) => ("edit", json!({"seq": latest, "body": post})),
            ("room", _) => ("post", post),
            (_, 0..4) => ("increment", json!({"path": "/count", "by": n})),
            (_, 4) => ("merge", json!({by: post})),
            (_, 5) => (
                "patch",
                json!([{"op": "test", "path": "/last/by", "value": by}, {"op": "add", "path": "/mine", "value": n}]),
            ),
            (_, _) => ("set", json!({"path": "/last", "value": post})),
        };
        let if_seq = (rng.u8(..10) == 0).then(|| self.seen(entity));
        self.push_op(entity, r#type, &body, if_seq);
    }

    /// Adds an op that can be accepted, with `bytes` of padding, and returns its index.
    pub fn new_post(&mut self, entity: &EntityId, bytes: usize) -> usize {
        let n = self.ops.len() as u64 + 1;
        let post = json!({"by": self.name, "n": n, "pad": "x".repeat(bytes)});
        match entity.kind() {
            "room" => self.push_op(entity, "post", &post, None),
            _ => self.push_op(entity, "set", &json!({"path": "/last", "value": post}), None),
        }
        self.ops.len() - 1
    }

    fn push_op(
        &mut self,
        entity: &EntityId,
        r#type: &'static str,
        body: &serde_json::Value,
        if_seq: Option<Seq>,
    ) {
        let body = RawJson::from_value(body).expect("this is JSON");
        self.ops.push(Op {
            entity: entity.clone(),
            ulid: String::new(),
            n: self.ops.len() as u64 + 1,
            r#type,
            body,
            if_seq,
            first_sent: None,
            in_flight: false,
            attempts: 0,
            nowhere: true,
            sent: (0, 0),
            invoked: 0,
            resent: 0,
            answered: None,
        });
    }

    /// An op to be sent, for the first time or again.
    pub fn unsent(&self) -> Option<usize> {
        let may =
            |op: &Op| op.answered.is_none() && !op.in_flight && self.rights.may_ask(&op.entity);
        let mut open = self.ops.iter().enumerate().filter(|(_, op)| may(op));
        // With an outdated client id, only ops that were begun with it are repeated.
        open.find(|(_, op)| op.attempts > 0 || !self.outlived).map(|(index, _)| index)
    }

    pub fn send(&mut self, index: usize, step: u64) -> Vec<u8> {
        let op = &mut self.ops[index];
        op.in_flight = true;
        op.attempts += 1;
        op.sent = (self.line, self.stats.ops);
        op.resent = step;
        self.stats.ops += 1;
        if op.attempts == 1 {
            op.invoked = step;
            op.ulid = self.ulid.clone();
            op.first_sent = self.says_when.then(|| self.now.1.saturating_add_signed(self.skew));
        }
        let call = Call::Send(params::Send {
            entity: op.entity.clone(),
            r#type: op.r#type.into(),
            body: op.body.clone(),
            n: Some(op.n),
            first_sent: op.first_sent,
            if_seq: op.if_seq,
            tag: None,
        });
        self.request(Asked::Send(index), &call)
    }

    pub(super) fn acknowledged(
        &mut self,
        op: usize,
        sent: &Sent,
        truth: &Truth,
    ) -> Result<(), String> {
        let op = &mut self.ops[op];
        op.in_flight = false;
        let log = &truth.logs.0[&op.entity];
        let event = log.event(sent.seq).ok_or_else(|| {
            format!("op {} is acknowledged at {} and not on disk", op.n, sent.seq)
        })?;
        if event.client.as_deref() != Some(&*op.ulid)
            || event.n != Some(op.n)
            || event.at != sent.at
            || event.result != sent.result
        {
            return Err(format!("op {} is acknowledged as {sent:?}, where {event:?} is", op.n));
        }
        if log.epoch.as_ref() != Some(&sent.epoch) {
            return Err(format!(
                "op {} is acknowledged in epoch {:?}, and the log is {:?}",
                op.n, sent.epoch, log.epoch
            ));
        }
        if sent.duplicate && op.attempts == 1 && !truth.repeats {
            return Err(format!("op {} is called a repeat and was sent once", op.n));
        }
        self.stats.repeats += u64::from(sent.duplicate);
        op.answered = Some((truth.step, Outcome::Accepted(sent.seq)));
        let entity = op.entity.clone();
        self.saw(&entity, sent.seq);
        Ok(())
    }

    pub(super) fn op_refused(
        &mut self,
        op: usize,
        error: &WireError,
        truth: &Truth,
    ) -> Result<(), String> {
        let op = &mut self.ops[op];
        op.in_flight = false;
        let written = truth.written_at(&op.ulid, op.n);
        let outcome = match error.data.code {
            ErrorCode::Unavailable => {
                op.nowhere = false;
                return Ok(());
            }
            ErrorCode::Overloaded
            | ErrorCode::TooManyInFlight
            | ErrorCode::ShuttingDown
            | ErrorCode::RateLimited
            | ErrorCode::Forbidden => {
                self.stats.overloaded += u64::from(error.data.code == ErrorCode::Overloaded);
                if written.is_some() && op.nowhere {
                    return Err(format!(
                        "op {} is in the log, and all that was said of it is that nothing was done",
                        op.n
                    ));
                }
                return Ok(());
            }
            ErrorCode::Conflict if op.if_seq.is_some() => {
                self.stats.conflicts += 1;
                Outcome::Refused
            }
            ErrorCode::Rejected => {
                self.stats.rejected += 1;
                Outcome::Refused
            }
            ErrorCode::OpExpired if truth.forgets => {
                self.stats.expired += 1;
                self.outlived = true;
                Outcome::Expired
            }
            _ => return Err(format!("op {} was refused: {error:?}", op.n)),
        };
        // An earlier, abandoned attempt may have arrived after the one that was refused.
        let before = |step| op.nowhere || step < op.resent;
        if written.is_some_and(before) && outcome == Outcome::Refused {
            return Err(format!("op {} is in the log and refused: {error:?}", op.n));
        }
        op.answered = Some((truth.step, outcome));
        Ok(())
    }
}
