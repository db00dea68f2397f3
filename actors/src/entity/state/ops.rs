//! What an entity does with an op: limits, repetitions, the decision.

use std::sync::Arc;

use greenroom_protocol::results::Sent;
use greenroom_protocol::{ErrorCode, RawJson, WireError};

use super::outputs::Output;
use super::{Effects, Entity};
use crate::behaviour::{ORDINARY_WORK, Op};
use crate::clock::Millis;
use crate::entity::dedupe::{Dedupe, Known, client_made};
use crate::entity::identity::op_hash;
use crate::limits::Refused;
use crate::messages::{OpRequest, Responder, overloaded, unavailable};
use crate::metrics::record_rate_limited;
use crate::record::EventRecord;

/// Whether the journal's queue has space for one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalSpace {
    Free,
    /// The op must be refused.
    Full,
}

/// What erasing a body costs beyond the op that asks for it, in tokens: the rows that hold the body
/// are written again.
const ERASURE: u32 = 8;

impl Entity {
    /// Decides on an op at the date `now`.
    pub fn op(&mut self, request: OpRequest, now: Millis, journal: JournalSpace, fx: &mut Effects) {
        let OpRequest { sender, r#type, body, n, first_sent, if_seq, tag, reply } = request;
        if let Err(refused) = self.bucket.check(1, fx.now) {
            record_rate_limited("entity");
            return self.refuse_op(reply, over_limit(refused), fx);
        }
        let began = n.map(|_| first_sent.unwrap_or_else(|| client_made(&sender.client)));
        if let (Some(n), Some(began)) = (n, began) {
            let known = self.look_up(&sender.user, &sender.client, began, n, now);
            if !matches!(known, Known::New) {
                return self.not_new(known, n, &r#type, &body, reply, fx);
            }
            // Its refusal was lost on the way to another node, which asks again. The client, who
            // sent them in order, would not expect it behind the later one.
            if reply.is_unsure() && self.dedupe.is_overtaken(&sender.user, &sender.client, n) {
                return self.refuse_op(reply, unavailable(), fx);
            }
        }
        if journal == JournalSpace::Full || self.pending_ops >= self.nature.kind.max_pending_ops {
            return self.refuse_op(reply, overloaded("journal"), fx);
        }
        if if_seq.is_some_and(|wanted| wanted != self.seq) {
            let error = WireError::new(
                ErrorCode::Conflict,
                format!("the entity is at seq {}, not at `if_seq`", self.seq),
            )
            .at_seq(self.seq);
            self.nature.metrics.refused(ErrorCode::Conflict);
            return self.put(Output::Refusal(reply, Box::new(error)), fx);
        }
        let seq = self.seq.next();
        let at = now.max(self.last_at);
        let op = Op {
            r#type: &r#type,
            body: &body,
            from: &sender.user,
            moderator: sender.moderator,
            seq,
            at,
        };
        let erases = self.behaviour.erases(&op);
        if erases.is_some() && self.erases_enough() {
            return self.refuse_op(reply, overloaded("erasing"), fx);
        }
        let decided = self.behaviour.decide(&op);
        let work = decided.as_ref().map_or_else(|refusal| refusal.work, |accepted| accepted.work);
        let rows = if decided.is_ok() && erases.is_some() { ERASURE } else { 0 };
        reply.charge(u32::try_from(work / ORDINARY_WORK).unwrap_or(u32::MAX).saturating_add(rows));
        match decided {
            Ok(accepted) => {
                let client = n.is_some().then_some(sender.client);
                let began = began.filter(|began| *began > at);
                let result = accepted.result;
                let record = Arc::new(EventRecord {
                    seq,
                    at,
                    from: sender.user,
                    r#type,
                    body,
                    deleted: None,
                    client,
                    n,
                    began,
                    tag,
                    result,
                });
                self.seq = seq;
                self.last_at = at;
                self.shared.forget();
                let kind = &self.nature.kind;
                self.dedupe.change(
                    || Dedupe::new(kind.dedupe_clients, kind.dedupe_ops),
                    |dedupe| dedupe.record(&record),
                );
                self.pending_ops += 1;
                self.snapshots.event(record.body.len());
                fx.event = Some(Arc::clone(&record));
                fx.erasure = erases.map(|erases| self.is_erased(erases, seq));
                self.gate.push_back((seq, Output::Event { record, reply, since: fx.now }));
                self.snapshot_if_due(fx);
            }
            Err(refusal) => {
                self.nature.metrics.refused(refusal.code);
                let error = WireError::new(refusal.code, refusal.message).reason(refusal.reason);
                self.put(Output::Refusal(reply, Box::new(error)), fx);
            }
        }
    }

    /// Answers an op whose number is not a new one.
    fn not_new(
        &mut self,
        known: Known,
        n: u64,
        r#type: &str,
        body: &RawJson,
        reply: Responder,
        fx: &mut Effects,
    ) {
        match known {
            Known::New => {}
            Known::Done(outcome)
                if outcome.hash.is_some_and(|hash| hash != op_hash(r#type, body)) =>
            {
                self.nature.metrics.refused(ErrorCode::InvalidParams);
                self.put(Output::Refusal(reply, Box::new(n_reused(n))), fx);
            }
            Known::Done(outcome) => {
                self.nature.metrics.duplicate.increment(1);
                let sent = Sent {
                    seq: outcome.seq,
                    epoch: self.epoch.clone(),
                    at: outcome.at,
                    result: outcome.result,
                    duplicate: true,
                };
                self.put(Output::Repeat(reply, Box::new(sent)), fx);
            }
            Known::TooEarly(wait) => self.refuse_op(reply, too_early(wait), fx),
            Known::Expired => {
                // An outcome that was forgotten for an op not yet on disk comes back if that op's
                // commit fails.
                self.nature.metrics.refused(ErrorCode::OpExpired);
                self.put(Output::Refusal(reply, Box::new(op_expired(n))), fx);
            }
        }
    }

    /// What is known of an op. Without any remembered outcomes it is new.
    pub(super) fn look_up(
        &mut self,
        user: &str,
        client: &str,
        began: Millis,
        n: u64,
        now: Millis,
    ) -> Known {
        self.dedupe
            .change_if_any(|dedupe| dedupe.look_up(user, client, began, n, now))
            .unwrap_or(Known::New)
    }

    fn refuse_op(&self, reply: Responder, error: WireError, fx: &mut Effects) {
        self.nature.metrics.refused(error.data.code);
        fx.answer(reply.error(error));
    }
}

fn over_limit(refused: Refused) -> WireError {
    let after = match refused {
        Refused::RetryAfter(after) => u64::try_from(after.as_millis()).unwrap_or(u64::MAX).max(1),
        Refused::TooBig { .. } => 1000,
    };
    WireError::new(
        ErrorCode::RateLimited,
        "the entity accepts no more ops now; repeat the op with the same `n` later",
    )
    .retry_after_ms(after)
    .reason("entity")
}

fn op_expired(n: u64) -> WireError {
    let message = format!(
        "op {n} is older than what this entity remembers: its outcome is not known any more and it is not executed again"
    );
    WireError::new(ErrorCode::OpExpired, message)
}

fn n_reused(n: u64) -> WireError {
    let message = format!(
        "`n` {n} was used for another op of this client: its type or its body differ; choose a new number for a new op"
    );
    WireError::new(ErrorCode::InvalidParams, message).reason("n_reused")
}

/// The longest wait that is named to a client whose ops are dated in the future.
const LONGEST_WAIT: Millis = 60_000;

fn too_early(wait: Millis) -> WireError {
    let message = "too many clients date their ops ahead of the server's clock; repeat the op with the same `n` later";
    WireError::new(ErrorCode::Overloaded, message)
        .retry_after_ms(wait.min(LONGEST_WAIT))
        .reason("dated_ahead")
}
