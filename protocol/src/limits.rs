//! Limits that are part of the protocol; an operator's limits are in the configuration.

/// The longest `type` of an op or signal, in bytes.
pub const MAX_TYPE: usize = 64;
/// The longest `key` of a signal, in bytes.
pub const MAX_KEY: usize = 64;
/// The longest `tag` of an op, in bytes.
pub const MAX_TAG: usize = 64;
/// The longest presence `meta`, in bytes of JSON.
pub const MAX_META: usize = 1024;
/// The longest string used as a request's id, in bytes.
pub const MAX_REQUEST_ID: usize = 128;
/// The longest `session` of a `connect`, in bytes.
pub const MAX_SESSION: usize = 64;
/// The most events in one `history` page.
pub const MAX_HISTORY: u32 = 1000;
/// The number of events in a `history` page if `limit` is omitted.
pub const DEFAULT_HISTORY: u32 = 100;
/// The most members in one presence list.
pub const MAX_MEMBERS: usize = 1000;
/// The deepest nesting of a message, arrays and objects counted together.
pub const MAX_DEPTH: usize = 64;
/// The longest user name (`sub`), in bytes.
pub const MAX_USER: usize = 256;
/// The largest integer that every client can represent: 2^53 - 1.
pub const MAX_INTEGER: u64 = (1 << 53) - 1;
