//! Bounds that belong to the protocol itself; an operator's limits live in the configuration.

/// Longest `type` of an op or signal, in bytes.
pub const MAX_TYPE: usize = 64;
/// Longest `key` of a signal, in bytes.
pub const MAX_KEY: usize = 64;
/// Longest `tag` of an op, in bytes.
pub const MAX_TAG: usize = 64;
/// Longest presence `meta`, in bytes of JSON.
pub const MAX_META: usize = 1024;
/// Longest string used as a request's id, in bytes.
pub const MAX_REQUEST_ID: usize = 128;
/// Longest `session` of a `connect`, in bytes.
pub const MAX_SESSION: usize = 64;
/// Most events in one `history` page.
pub const MAX_HISTORY: u32 = 1000;
/// Events in a `history` page where `limit` is left out.
pub const DEFAULT_HISTORY: u32 = 100;
/// Most members in one presence list.
pub const MAX_MEMBERS: usize = 1000;
/// Deepest nesting of a message, arrays and objects counted together.
pub const MAX_DEPTH: usize = 64;
/// Longest user name (`sub`), in bytes.
pub const MAX_USER: usize = 256;
/// Largest integer that every client can hold: 2^53 - 1.
pub const MAX_INTEGER: u64 = (1 << 53) - 1;
