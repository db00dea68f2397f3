//! The names of sessions on the wire.

use std::fmt::Write;

use crate::ids::{SessionKey, WorkerId};

/// The name of `key`. `instance` distinguishes this process from others.
pub fn name(instance: u64, key: SessionKey) -> String {
    let mut name = String::with_capacity(40);
    // Writing to a string does not fail.
    let _ = write!(name, "{instance:016x}-{}-{}-{}", key.worker.0, key.slot, key.generation);
    name
}

/// The process of the session with this name, and its key there.
pub fn parse(name: &str) -> Option<(u64, SessionKey)> {
    let mut parts = name.split('-');
    let instance = u64::from_str_radix(parts.next()?, 16).ok()?;
    let worker = WorkerId(parts.next()?.parse().ok()?);
    let slot = parts.next()?.parse().ok()?;
    let generation = parts.next()?.parse().ok()?;
    let key = SessionKey::here(worker, slot, generation);
    parts.next().is_none().then_some((instance, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_session_and_nothing_else_does() {
        let key = SessionKey::here(WorkerId(3), 70_000, u32::MAX);
        assert_eq!(parse(&name(0xab, key)), Some((0xab, key)));
        for other in [
            "",
            "-",
            "ab",
            "000000ab-3-1",
            "000000ab-3-1-1-1",
            "000000ab-70000-1-1",
            "000000ab-3-x-1",
            "日本-1-1-1",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
