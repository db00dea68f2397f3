//! The wire between a client and a node. Messages can be held in either direction, arrive late, or
//! be lost with the whole connection, which either end may not notice for a long time.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use bytes::Bytes;
use greenroom_protocol::close::CloseCode;

/// A connection, shared by both ends.
pub type Wire = Rc<RefCell<Link>>;

/// How a client loses its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The node still reads the requests on the wire.
    Clean,
    /// The requests on the wire are lost.
    Lossy,
    /// The node does not know yet.
    HalfOpen,
}

#[derive(Debug, Default)]
pub struct Link {
    pub up: VecDeque<Vec<u8>>,
    pub down: VecDeque<Bytes>,
    pub up_held: bool,
    pub down_held: bool,
    /// The client has disconnected.
    pub client_gone: bool,
    /// The client has closed normally and does not come back.
    pub left: bool,
    /// When the node lost the connection, in ms.
    pub lost_at: Option<u64>,
    /// The node cannot notice the disconnect yet: the connection is half-open.
    pub vanished: bool,
    /// The node has closed the connection, with a code if it was asked to.
    pub server_gone: Option<Option<CloseCode>>,
    /// The node's last frames and its close code are lost.
    pub torn: bool,
}

impl Link {
    pub fn with_first(request: Vec<u8>) -> Wire {
        Rc::new(RefCell::new(Self { up: VecDeque::from([request]), ..Self::default() }))
    }

    /// Whether the node can receive a request.
    pub fn has_request(&self) -> bool {
        !self.up.is_empty() && !self.up_held
    }

    /// Whether the node can notice that its client has disconnected: nothing is left to read, or
    /// writing fails.
    pub fn is_over(&self, capacity: usize) -> bool {
        self.client_gone
            && !self.vanished
            && (self.up.is_empty() || self.up_held || self.down.len() >= capacity)
    }

    /// Whether the client can receive a frame, or notice that the node has closed.
    pub fn has_news(&self) -> bool {
        !self.client_gone
            && !self.down_held
            && (!self.down.is_empty() || self.server_gone.is_some())
    }

    /// Ends all holds.
    pub fn heal(&mut self) {
        self.up_held = false;
        self.down_held = false;
        self.vanished = false;
    }

    pub fn is_held(&self) -> bool {
        self.up_held || self.down_held || self.vanished
    }
}
