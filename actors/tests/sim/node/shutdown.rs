//! Stops a node as the server does on SIGTERM: first the entities, then the journal, then the
//! sessions.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};

use greenroom_protocol::close::CloseCode;
use greenroom_protocol::codec::{Message, Method};
use greenroom_protocol::notify::{Goodbye, GoodbyeReason};

use super::Node;
use crate::bugs::Bug;
use crate::clock::Now;
use crate::seen::Wait;

/// The time limit of the flush, in ms.
const DEADLINE: u64 = 1_000;
/// The time that clients have to receive their goodbye, in ms.
const LAST_WORDS: u64 = 2_000;

pub(super) struct Drain {
    flush: Option<Pin<Box<dyn Future<Output = ()>>>>,
    /// Whether the entities are asleep and only the journal is outstanding.
    asleep: Rc<Cell<bool>>,
    deadline: Option<u64>,
    /// When the process ends; set once the goodbyes are sent.
    ends: Option<u64>,
}

/// The stages of stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Everything is flushed, and the goodbyes are sent.
    Flushed,
    /// The deadline has passed, and the goodbyes are sent.
    CutShort,
    /// The process ends.
    Over,
}

impl Drain {
    pub(super) fn wait(&self) -> Option<Wait> {
        self.flush
            .as_ref()
            .map(|_| if self.asleep.get() { Wait::DrainBarrier } else { Wait::Drain })
    }
}

impl Node {
    /// Begins to stop the node. Without a deadline the flush must end by itself.
    pub fn begin_drain(&mut self, with_deadline: bool, now: Now) {
        let directory = self.directory.clone();
        let journal = self.writer.journal.clone();
        let forget = self.bug == Some(Bug::DrainWithoutBarrier);
        let asleep = Rc::new(Cell::new(false));
        let told = Rc::clone(&asleep);
        let flush = async move {
            directory.drain().await;
            told.set(true);
            if !forget {
                journal.barrier().await;
            }
        };
        let deadline = with_deadline.then(|| now.mono + DEADLINE);
        self.drain = Some(Drain { flush: Some(Box::pin(flush)), asleep, deadline, ends: None });
    }

    /// The node is out of its cluster: says goodbye, and ends.
    pub(super) fn finish(&mut self, now: Now) {
        let ends = Some(now.mono + LAST_WORDS);
        let asleep = Rc::new(Cell::new(true));
        self.drain = Some(Drain { flush: None, asleep, deadline: None, ends });
        self.say_goodbye();
    }

    pub fn is_draining(&self) -> bool {
        self.drain.is_some()
    }

    /// The next deadline.
    pub(super) fn drain_ends(&self) -> Option<u64> {
        self.drain.as_ref().and_then(|drain| drain.ends.or(drain.deadline))
    }

    /// Continues to stop the node.
    ///
    /// # Errors
    /// If the goodbyes are sent while something is still on the way to the disk.
    pub fn poll_drain(&mut self, now: Now) -> Result<Option<Drained>, String> {
        let Some(drain) = &mut self.drain else { return Ok(None) };
        if let Some(flush) = &mut drain.flush {
            let flushed = flush.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
            if !flushed && drain.deadline.is_none_or(|deadline| now.mono < deadline) {
                return Ok(None);
            }
            drain.flush = None;
            drain.ends = Some(now.mono + LAST_WORDS);
            self.say_goodbye();
            if !flushed {
                return Ok(Some(Drained::CutShort));
            }
            if self.writer.waiting() > 0 || self.store.is_committing() {
                return Err(format!(
                    "a drain is over, and {} messages or a transaction are on the way to the disk",
                    self.writer.waiting()
                ));
            }
            if self.awake() > 0 {
                return Err(format!("a drain is over, and {} entities are awake", self.awake()));
            }
            return Ok(Some(Drained::Flushed));
        }
        let over = self.connections.is_empty() || drain.ends.is_some_and(|ends| now.mono >= ends);
        Ok(over.then_some(Drained::Over))
    }

    fn say_goodbye(&self) {
        for env in &self.envs {
            for seat in env.relay.borrow().seats() {
                let params = Goodbye {
                    reason: GoodbyeReason::ShuttingDown,
                    closes_in_ms: 0,
                    reconnect_after_ms: None,
                };
                seat.outbox.push(env.encoder.encode(
                    seat.codec,
                    &Message::Notification { method: Method::Goodbye, params: &params },
                ));
                seat.outbox.close(CloseCode::ShuttingDown);
            }
        }
    }
}
