//! Time as an argument.

/// Milliseconds since the Unix epoch, as the wire format counts them.
pub type Millis = u64;

/// The wall clock's time now.
pub fn now() -> Millis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
