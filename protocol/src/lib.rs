//! Greenroom's wire protocol: the messages between a client and the server, and nothing else.
//!
//! `docs/openrpc.json` and `docs/schema.json` are generated from these types. This crate knows
//! nothing of actors, sockets or storage.

pub mod close;
pub mod codec;
pub mod entity_id;
pub mod error;
pub mod limits;
pub mod notify;
pub mod params;
pub mod position;
pub mod raw;
pub mod request;
pub mod results;
pub mod schema;
pub mod seq;
pub mod text;

pub use close::CloseCode;
pub use codec::{Codec, CodecKind, Malformed, Message, Method, ServerMessage};
pub use entity_id::EntityId;
pub use error::{ErrorCode, WireError};
pub use position::{Epoch, Position};
pub use raw::RawJson;
pub use request::{Call, Request, RequestId};
pub use seq::Seq;
