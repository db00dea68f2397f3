//! The wire between a client and a node. What is on its way can be held in either direction, arrive
//! late, or be lost with the whole connection, of which either end may not know for a long time.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use bytes::Bytes;
use greenroom_protocol::close::CloseCode;

use super::clock::Now;

/// A connection, as both its ends know it.
pub type Wire = Rc<RefCell<Link>>;

/// See the module's head.
#[derive(Debug, Default)]
pub struct Link {
    pub up: VecDeque<Vec<u8>>,
    pub down: VecDeque<Bytes>,
    pub up_held: bool,
    pub down_held: bool,
    /// The client has gone.
    pub client_gone: bool,
    /// It has said so: it does not come back.
    pub left: bool,
    /// When the node lost it.
    pub lost_at: Option<Now>,
    /// The node cannot know that yet: half of the connection is open.
    pub vanished: bool,
    /// The node has closed it, with this code if it was asked to.
    pub server_gone: Option<Option<CloseCode>>,
    /// What the node sent last is lost, and so is the reason.
    pub torn: bool,
}

impl Link {
    pub fn with_first(request: Vec<u8>) -> Wire {
        Rc::new(RefCell::new(Self { up: VecDeque::from([request]), ..Self::default() }))
    }

    /// The node takes a request off the wire.
    pub fn has_request(&self) -> bool {
        !self.up.is_empty() && !self.up_held
    }

    /// The node can notice that its client has gone: there is nothing left to read, or what it
    /// writes comes back.
    pub fn is_over(&self, capacity: usize) -> bool {
        self.client_gone
            && !self.vanished
            && (self.up.is_empty() || self.up_held || self.down.len() >= capacity)
    }

    /// The client can take a frame, or notice that the node has gone.
    pub fn has_news(&self) -> bool {
        !self.client_gone
            && !self.down_held
            && (!self.down.is_empty() || self.server_gone.is_some())
    }

    /// Whatever held it holds it no more.
    pub fn heal(&mut self) {
        self.up_held = false;
        self.down_held = false;
        self.vanished = false;
    }

    pub fn is_held(&self) -> bool {
        self.up_held || self.down_held || self.vanished
    }
}
