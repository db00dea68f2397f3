//! The mailbox of a relay.

use std::cell::RefCell;
use std::rc::Rc;

use actix::{Actor, AsyncContext, Context, StreamHandler};
use tokio::sync::mpsc;

use super::Relay;
use crate::messages::{ToRelay, batches};

/// The number of messages taken at once, before the thread serves other tasks.
const BATCH: usize = 64;

/// Receives messages for a [`Relay`]. Its queue is the channel that it is started with.
pub struct RelayActor {
    relay: Rc<RefCell<Relay>>,
    queue: Option<mpsc::Receiver<ToRelay>>,
}

impl RelayActor {
    /// Starts receiving on the current thread.
    pub fn start_on_thread(relay: Rc<RefCell<Relay>>, queue: mpsc::Receiver<ToRelay>) {
        Self { relay, queue: Some(queue) }.start();
    }
}

impl Actor for RelayActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let queue = self.queue.take().expect("an actor is started once");
        ctx.add_stream(batches(queue, BATCH));
    }
}

impl StreamHandler<Vec<ToRelay>> for RelayActor {
    fn handle(&mut self, messages: Vec<ToRelay>, _: &mut Self::Context) {
        self.relay.borrow_mut().receive_all(messages);
    }
}
