//! The requests of one connection that wait for their answers.

use std::collections::VecDeque;

use greenroom_protocol::codec::ServerMessage;
use greenroom_protocol::{RequestId, WireError};

/// Requests that wait for an answer, by id.
#[derive(Default)]
pub struct Pending {
    first: i64,
    requests: VecDeque<Option<Asked>>,
    count: usize,
}

/// A request: when it was meant to be sent, and whose turn it was; what that means is its sender's
/// affair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// When it was meant to be sent, in microseconds of the board.
    pub intended: u64,
    pub turn: usize,
}

/// What an answer comes to.
#[derive(Debug)]
pub enum Answered {
    Done(Asked),
    /// It was refused; which one is not known where the server could not tell.
    Refused(Option<Asked>, WireError),
    /// Nothing waits for this answer.
    Unasked,
}

impl Pending {
    pub fn count(&self) -> usize {
        self.count
    }

    /// Adds the request that was just sent; ids count up.
    pub fn add(&mut self, id: i64, asked: Asked) {
        if self.requests.is_empty() {
            self.first = id;
        }
        debug_assert_eq!(self.first + self.requests.len() as i64, id, "ids count up");
        self.requests.push_back(Some(asked));
        self.count += 1;
    }

    /// Finds what an answer answers, which then waits no more.
    pub fn answer(&mut self, answer: ServerMessage) -> Answered {
        match answer {
            ServerMessage::Result { id: RequestId::Number(id), .. } => self.done(id),
            ServerMessage::Error { id, error } => {
                let asked = match id {
                    Some(RequestId::Number(id)) => self.remove(id),
                    _ => None,
                };
                Answered::Refused(asked, error)
            }
            _ => Answered::Unasked,
        }
    }

    /// The same for a request that was done.
    pub fn done(&mut self, id: i64) -> Answered {
        self.remove(id).map_or(Answered::Unasked, Answered::Done)
    }

    fn remove(&mut self, id: i64) -> Option<Asked> {
        let at = usize::try_from(id - self.first).ok()?;
        let asked = self.requests.get_mut(at)?.take()?;
        self.count -= 1;
        while self.requests.front().is_some_and(Option::is_none) {
            self.requests.pop_front();
            self.first += 1;
        }
        Some(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_may_come_in_any_order() {
        let mut pending = Pending::default();
        let asked = |intended| Asked { intended, turn: 0 };
        for id in 2..6 {
            pending.add(id, asked(id as u64 * 10));
        }
        assert_eq!(pending.remove(4), Some(asked(40)));
        assert_eq!(pending.remove(4), None, "an answer counts once");
        assert_eq!(pending.remove(2), Some(asked(20)));
        assert_eq!(pending.remove(3), Some(asked(30)));
        assert_eq!((pending.first, pending.count), (5, 1));
        pending.add(6, asked(60));
        assert_eq!(pending.remove(9), None);
        assert_eq!(pending.remove(1), None);
        assert_eq!(
            (pending.remove(5), pending.remove(6), pending.count),
            (Some(asked(50)), Some(asked(60)), 0)
        );
    }
}
