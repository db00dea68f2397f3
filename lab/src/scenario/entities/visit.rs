//! Visits: many entities of one name and a number are read, or posted to, each once or one of them
//! often.

use std::iter::StepBy;
use std::ops::Range;
use std::sync::Arc;

use greenroom_protocol::results::{Sent, State};
use greenroom_protocol::{Call, EntityId, RawJson, Seq, params};
use serde::Deserialize;

use super::Stage;
use crate::scenario::line::Errand;
use greenroom_loadtest::run::send;
use greenroom_loadtest::stats::Lane;
use greenroom_loadtest::stats::Latencies;

/// What is done at each entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Its state is read, and must be what so many posts have come to.
    Read {
        /// As many as were acknowledged.
        posts: u64,
    },
    /// It gets a post, which must be its first where each gets one.
    Post,
}

/// Which entities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// One for each number.
    Each(&'static str),
    /// The same every time.
    One(&'static str, u64),
}

/// A visit, as a crew makes it.
#[derive(Debug, Clone)]
pub struct Visit {
    /// What is done.
    pub what: What,
    /// Where.
    pub whom: Whom,
    /// The numbers.
    pub numbers: Range<u64>,
    /// Visits a second, instead of as many as are answered.
    pub rate: Option<f64>,
    /// Whether the board's lane of answers has them too.
    pub counts: bool,
}

/// One connection's share of a visit.
pub struct Share {
    stage: Arc<Stage>,
    visit: Visit,
    numbers: StepBy<Range<u64>>,
    latency: Arc<Latencies>,
}

/// A state, as far as it tells whether it is right.
#[derive(Deserialize)]
struct Room {
    messages: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    seq: Seq,
    body: Body,
}

#[derive(Deserialize)]
struct Body {
    i: u64,
}

impl Share {
    /// Every `lines`th number, beginning with the `line`th.
    pub fn new(
        stage: Arc<Stage>,
        visit: Visit,
        line: usize,
        lines: usize,
        latency: Arc<Latencies>,
    ) -> Self {
        let first = visit.numbers.start.saturating_add(line as u64).min(visit.numbers.end);
        let numbers = (first..visit.numbers.end).step_by(lines);
        Self { stage, visit, numbers, latency }
    }
}

impl Errand for Share {
    fn next(&mut self) -> Option<(Call, u64)> {
        let number = self.numbers.next()?;
        let entity = match self.visit.whom {
            Whom::Each(name) => self.stage.entity(name, number),
            Whom::One(name, index) => self.stage.entity(name, index),
        };
        let call = match self.visit.what {
            What::Read { .. } => Call::Read(params::Target { entity }),
            // Whoever posts to an entity in several visits has other numbers in each.
            What::Post => post(entity, number, number + 1, &self.stage.pad),
        };
        Some((call, number))
    }

    fn answered(&mut self, number: u64, result: &RawJson, intended_us: u64) -> bool {
        let board = &self.stage.run.board;
        self.latency.record([board.now_us().saturating_sub(intended_us)]);
        if self.visit.counts {
            board.record(Lane::Ack, intended_us);
        }
        let of = matches!(self.visit.whom, Whom::Each(_)).then_some(number);
        match self.visit.what {
            What::Read { posts } => result.parse().is_ok_and(|state| is_after(&state, posts, of)),
            // Where many post to one entity, nobody knows who comes first: the state that is read
            // later tells whether all have.
            What::Post => result.parse().is_ok_and(|sent: Sent| {
                !sent.duplicate && (of.is_none() || sent.seq == Seq::FIRST)
            }),
        }
    }
}

/// An op that posts `number` to a room.
pub fn post(entity: EntityId, number: u64, n: u64, pad: &str) -> Call {
    let body = RawJson::from_text(format!(r#"{{"i":{number},"pad":"{pad}"}}"#))
        .expect("it was made as JSON, and the padding needs no escapes");
    send(&entity, "post", body, Some(n))
}

/// Whether a room's state is that after `posts` posts, the last of which is `of`, where that is
/// known.
pub fn is_after(state: &State, posts: u64, of: Option<u64>) -> bool {
    let Ok(Room { messages }) = state.state.parse::<Room>() else { return false };
    let last = messages.last().map(|message| (message.seq, message.body.i));
    state.seq == Seq::new(posts)
        && last.map_or(Seq::ZERO, |(seq, _)| seq) == state.seq
        && last.zip(of).is_none_or(|((_, i), of)| i == of)
}

#[cfg(test)]
mod tests {
    use greenroom_protocol::Epoch;

    use super::*;

    fn state(seq: u64, state: &str) -> State {
        State {
            epoch: Epoch::from_bits(1),
            seq: Seq::new(seq),
            state: RawJson::from_text(state).expect("it is JSON"),
        }
    }

    #[test]
    fn states_are_looked_at() {
        let one = r#"{"messages":[{"seq":1,"at":5,"from":"a","body":{"i":7,"pad":"x"}}]}"#;
        let table = [
            (state(0, r#"{"messages":[]}"#), 0, Some(7), true),
            (state(1, one), 1, Some(7), true),
            (state(1, one), 1, None, true),
            (state(1, one), 1, Some(8), false),
            (state(1, one), 2, Some(7), false),
            (state(2, one), 2, Some(7), false),
            (state(0, one), 0, Some(7), false),
            (state(1, r#"{"messages":[]}"#), 1, None, false),
            (state(1, r#"{"n":1}"#), 1, None, false),
        ];
        for (state, posts, of, want) in table {
            assert_eq!(is_after(&state, posts, of), want, "{state:?} {posts} {of:?}");
        }
    }
}
