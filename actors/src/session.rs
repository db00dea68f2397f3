//! A session: what a connected client may ask for, and who hears of it.
//!
//! Everything of a session but its socket. The actor that ties it to one lives in the server, in
//! `src/ws/`.

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
use crate::messages::{Asker, Directory, RelayHandle};
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

/// Checks who somebody is.
pub trait Authenticate: Send + Sync + 'static {
    /// The identity that `token` proves, or an anonymous one named after `client` where there is no
    /// token and that is allowed.
    ///
    /// # Errors
    /// `unauthorized` or `token_expired`, saying what would be right.
    fn authenticate(
        &self,
        token: Option<&str>,
        client: &str,
        now: Millis,
    ) -> Result<Identity, WireError>;
}

/// What all sessions of a thread share.
pub struct SessionEnv {
    /// Their relay, on the same thread.
    pub relay: Rc<RefCell<Relay>>,
    /// All relays by worker, for answers from other threads and for sessions that are resumed.
    pub relays: Vec<RelayHandle>,
    /// Which of them is this thread's.
    pub worker: WorkerId,
    /// Tells the names of this process's sessions from those of others.
    pub instance: u32,
    /// The way to entities.
    pub directory: Directory,
    /// The kinds there are.
    pub kinds: Kinds,
    /// How messages are encoded.
    pub encoder: Encoder,
    /// Who checks identities.
    pub authenticate: Arc<dyn Authenticate>,
    /// What each user, and each address, may ask for over all of its sessions.
    pub accounts: Arc<Accounts>,
    /// The bounds of each session.
    pub bounds: SessionBounds,
    /// Draws what is random in the id of a client that has none yet. Nobody may be able to guess
    /// it: anonymous users are named after it. See [`unguessable`].
    pub random: fn() -> u128,
    /// The server's name and version, as `connect` tells it.
    pub server: String,
}

/// A session's bounds.
#[derive(Debug, Clone)]
pub struct SessionBounds {
    /// Those that its client is told.
    pub announced: SessionLimits,
    /// Bytes that wait for its socket before events pause.
    pub outbox_bytes: usize,
    /// How long before a token's end its client is warned, in ms. Never before a third of the
    /// token's time is over.
    pub expiry_warning_ms: u64,
    /// How long it has to `connect`, in ms.
    pub connect_timeout_ms: u64,
    /// Requests.
    pub requests: Rate,
    /// Bytes of messages.
    pub bytes: Rate,
    /// Messages within the window that end the session, sent although it was told to wait.
    pub abuse_after: u32,
    /// That window, in ms.
    pub abuse_window_ms: u64,
}

/// A random number that nobody can guess.
pub fn unguessable() -> u128 {
    // Drawn from a generator that the operating system has seeded.
    Ulid::new().random()
}

impl SessionEnv {
    /// This thread's relay, for answers from other threads.
    ///
    /// # Panics
    /// Where `worker` has none among `relays`.
    pub fn relay_handle(&self) -> &RelayHandle {
        &self.relays[self.worker.0 as usize]
    }

    fn asker(&self, session: crate::ids::SessionKey, codec: CodecKind) -> Asker {
        Asker::new(session, codec, self.encoder, self.relay_handle().clone())
    }
}
