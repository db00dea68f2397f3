//! The WebSocket: from an HTTP upgrade to a session, and its frames to the socket.
//!
//! Only this directory names actix-web-actors (see docs/adr/0001). The connection is taken over
//! from actix-http after the handshake (docs/adr/0002): `pump` owns the socket, `input` reads it
//! for the session's actor, and everything the client receives goes through the session's outbox.

mod acks;
mod actor;
mod closing;
mod frame;
mod guard;
mod handshake;
mod input;
mod pump;
mod side;
mod sweep;
mod upgrade;

pub use frame::frame;
pub use guard::FrameLimits;
pub use handshake::{NO_BODY, PATH, Refused};
pub use sweep::sweep_every_second;
pub use upgrade::{Gate, GateLimits, upgrade};
