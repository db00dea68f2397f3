//! A session: checks and forwards the requests of a connected client.
//!
//! This is everything except the socket. The actor that connects a session to its socket is in the
//! server, in `src/ws/`.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use greenroom_protocol::results::SessionLimits;
use greenroom_protocol::{CodecKind, WireError};
use ulid::Ulid;

use crate::clock::Millis;
use crate::frames::Encoder;
use crate::identity::Identity;
use crate::ids::WorkerId;
use crate::kind::Kinds;
use crate::limits::{Accounts, Rate};
use crate::messages::{Asker, Directory, RelayHandle, Relays};
use crate::relay::Relay;

mod connect;
mod head;
mod name;
mod state;
#[cfg(test)]
mod tests;
mod watch;

pub use state::Session;
pub use watch::{Deadlines, Pinger};

/// Authenticates clients.
pub trait Authenticate: Send + Sync + 'static {
    /// The identity that `token` proves. Without a token, an anonymous one named after `client`, if
    /// that is allowed.
    ///
    /// # Errors
    /// `unauthorized` or `token_expired`, with a message that says what would be right.
    fn authenticate(
        &self,
        token: Option<&str>,
        client: &str,
        now: Millis,
    ) -> Result<Identity, WireError>;
}

/// The state that all sessions of a thread share.
pub struct SessionEnv {
    /// The relay of this thread.
    pub relay: Rc<RefCell<Relay>>,
    /// The way to the relays, for answers from other threads and for sessions that are resumed.
    pub relays: Relays,
    /// This thread.
    pub worker: WorkerId,
    /// Distinguishes the session names of this process from those of others.
    pub instance: u64,
    pub directory: Directory,
    pub kinds: Kinds,
    pub encoder: Encoder,
    pub authenticate: Arc<dyn Authenticate>,
    /// The limits of users and addresses over all their sessions.
    pub accounts: Arc<Accounts>,
    pub bounds: SessionBounds,
    /// Generates the random part of a new client id. It must be unguessable, because anonymous
    /// users are named after the id. See [`unguessable`].
    pub random: fn() -> u128,
    /// The server's name and version, for the answer to `connect`.
    pub server: String,
}

/// The limits and timeouts of each session.
#[derive(Debug, Clone)]
pub struct SessionBounds {
    /// The limits that are announced to clients.
    pub announced: SessionLimits,
    /// The size of the outbox at which events pause.
    pub outbox_bytes: usize,
    /// How long before its token expires a client is warned, in ms; never in the first third of the
    /// token's lifetime.
    pub expiry_warning_ms: u64,
    /// The time that a client has to `connect`, in ms.
    pub connect_timeout_ms: u64,
    pub requests: Rate,
    /// In bytes of messages.
    pub bytes: Rate,
    /// The number of messages, sent although the client was told to wait, that end the session if
    /// they arrive within the window.
    pub abuse_after: u32,
    pub abuse_window_ms: u64,
}

/// A random number from a generator that the operating system has seeded.
pub fn unguessable() -> u128 {
    Ulid::new().random()
}

impl SessionEnv {
    /// This thread's relay, for answers from other threads.
    ///
    /// # Panics
    /// If `relays` has none for `worker`.
    pub fn relay_handle(&self) -> &RelayHandle {
        self.relays.here(self.worker).expect("a worker's relay is among them")
    }

    fn asker(&self, session: crate::ids::SessionKey, codec: CodecKind) -> Asker {
        Asker::new(session, codec, self.encoder, self.relay_handle().clone())
    }
}
