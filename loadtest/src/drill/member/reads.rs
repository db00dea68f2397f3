//! The reads of a client of a drill, which must be refused where it may not read.

use greenroom_protocol::{ErrorCode, RawJson, Seq, WireError};
use tokio::time::Instant;

use super::super::asks::{Ask, Question};
use super::super::rights::May;
use super::{Member, bad};
use crate::client::{Failure, Wire};

impl Member {
    /// Asks for the next state or page.
    pub(super) fn read(&mut self, wire: &mut Wire, now: Instant) {
        self.next_read = self.stage.load.read_every.map(|every| now + every);
        let index = usize::try_from(self.reads).unwrap_or(0) % self.views.len();
        let view = &self.views[index];
        let question = Question::of_turn(
            self.reads / self.views.len() as u64,
            view.position.as_ref().map_or(Seq::ZERO, |position| position.seq),
        );
        self.reads += 1;
        let (target, may, asked) = (view.target, self.rights.may(index), self.record.notes.now());
        let id = wire.feed(&question.call(&self.stage.targets[target].id));
        self.ask = Some(Ask { target, view: index, may, question, id, asked });
    }

    pub(super) fn shown(&mut self, ask: &Ask, result: &RawJson) -> Result<(), Failure> {
        if ask.may == May::No || self.rights.may(ask.view) == May::No {
            self.fail("was shown what it may not read");
        }
        let target = &self.stage.targets[ask.target];
        self.record.notes.note(ask.target, ask.answered(target, result).map_err(bad)?);
        Ok(())
    }

    pub(super) fn not_shown(&mut self, ask: &Ask, error: &WireError) {
        let may = ask.may == May::Yes && self.rights.may(ask.view) == May::Yes;
        if error.data.code == ErrorCode::Forbidden && !may {
            self.record.forbidden += 1;
        } else if error.data.retry_after_ms.is_none() {
            self.fail(format_args!("was refused a read: {}", error.message));
        }
    }
}
