//! What is sent: signals, posts, or increments, to one entity or to several in turn.

use greenroom_protocol::{Call, EntityId, RawJson, params};

use crate::run::send;

/// The kinds of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Signal,
    Post,
    Increment,
}

/// Makes one message after the other.
pub struct Payload {
    /// Who gets them, in turn.
    pub entities: Vec<EntityId>,
    /// Whether the server is to answer each; one that does not bounds what is sent by nothing.
    pub answered: bool,
    what: What,
    pad: String,
    made: u64,
}

impl Payload {
    /// Messages whose body has about `bytes` bytes.
    pub fn new(what: What, entities: Vec<EntityId>, bytes: usize) -> Self {
        // `{"t":123456789012,"pad":""}` is what a body has besides the padding.
        Self { entities, answered: true, what, pad: "x".repeat(bytes.saturating_sub(27)), made: 0 }
    }

    /// The next message, meant to be sent at `intended_us`, and the index of the entity whose turn
    /// it is.
    pub fn next(&mut self, intended_us: u64) -> (usize, Call) {
        let turn = self.made as usize % self.entities.len();
        let entity = self.entities[turn].clone();
        self.made += 1;
        let body = match self.what {
            What::Increment => r#"{"path":"/n","by":1}"#.to_owned(),
            What::Signal | What::Post => format!(r#"{{"t":{intended_us},"pad":"{}"}}"#, self.pad),
        };
        let body = RawJson::from_text(body)
            .expect("it was made as JSON, and the padding needs no escapes");
        let call = match self.what {
            What::Signal => {
                Call::Signal(params::Signal { entity, r#type: "load".into(), body, key: None })
            }
            What::Post | What::Increment => {
                let r#type = if self.what == What::Post { "post" } else { "increment" };
                send(&entity, r#type, body, Some(self.made))
            }
        };
        (turn, call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_take_turns_and_ops_are_numbered() {
        let entities =
            ["room:a", "room:b"].map(|id| id.parse().expect("it is an entity id")).to_vec();
        let mut payload = Payload::new(What::Post, entities, 100);
        let made: Vec<_> = (0..3)
            .map(|_| match payload.next(123_456_789_012) {
                (turn, Call::Send(op)) => {
                    (turn, op.entity.to_string(), op.n, op.body.as_str().len())
                }
                (_, call) => panic!("{call:?} is no op"),
            })
            .collect();
        let want = [(0, "room:a", 1), (1, "room:b", 2), (0, "room:a", 3)]
            .map(|(turn, entity, n)| (turn, entity.to_owned(), Some(n), 100));
        assert_eq!(made, want);
    }
}
