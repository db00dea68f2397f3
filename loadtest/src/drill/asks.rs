//! The reads of a drill's clients: states and pages of the log, in turn, so that reads race with
//! ops and restarts.

use greenroom_protocol::results::{HistoryPage, State as Answer};
use greenroom_protocol::{Call, EntityId, RawJson, Seq, params};
use serde_json::Error;

use super::rights::May;
use super::stage::Target;
use crate::history::{Event, Moment, Page, State, What};

/// Events in a page; less than what comes between two reads, so that pages are cut.
const PAGE: u32 = 20;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    State,
    /// The last events of the log.
    LastPage,
    /// The events after this one.
    PageAfter(Seq),
}

/// A request that waits for its answer. One that is never answered is forgotten: it changes
/// nothing.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    pub target: usize,
    pub view: usize,
    /// Whether the client might read it when it asked.
    pub may: May,
    pub question: Question,
    pub id: i64,
    /// The moment before it was sent.
    pub asked: Moment,
}

impl Question {
    /// The question of turn `turn` of a client that stands at `position`: mostly states.
    pub fn of_turn(turn: u64, position: Seq) -> Self {
        match turn % 6 {
            2 => Self::LastPage,
            5 => Self::PageAfter(position.saturating_sub(u64::from(PAGE) / 2)),
            _ => Self::State,
        }
    }

    pub fn call(self, entity: &EntityId) -> Call {
        let page = |after| {
            Call::History(params::History {
                entity: entity.clone(),
                before: None,
                after,
                limit: Some(PAGE),
            })
        };
        match self {
            Self::State => Call::Read(params::Target { entity: entity.clone() }),
            Self::LastPage => page(None),
            Self::PageAfter(seq) => page(Some(seq)),
        }
    }
}

impl Ask {
    /// What the answer says.
    pub fn answered(&self, target: &Target, result: &RawJson) -> Result<What, Error> {
        let asked = self.asked;
        let after = match self.question {
            Question::State => {
                let Answer { epoch, seq, state } = result.parse()?;
                return Ok(What::Read {
                    asked,
                    epoch,
                    seq,
                    state: State::read(target.shape, &state),
                });
            }
            Question::LastPage => None,
            Question::PageAfter(seq) => Some(seq),
        };
        let HistoryPage { epoch, events, more } = result.parse()?;
        Ok(What::Page(Box::new(Page {
            asked,
            after,
            epoch,
            events: events.iter().map(Event::from).collect(),
            more,
        })))
    }
}
