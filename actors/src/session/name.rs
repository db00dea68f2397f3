//! The names of sessions on the wire.

use std::fmt::Write;

use crate::ids::{SessionKey, WorkerId};

/// The name of `key`. `instance` distinguishes this process from others.
pub fn name(instance: u32, key: SessionKey) -> String {
    let mut name = String::with_capacity(32);
    // Writing to a string does not fail.
    let _ = write!(name, "{instance:08x}-{}-{}-{}", key.worker.0, key.slot, key.generation);
    name
}

/// The session with this name, if the name is from this process.
pub fn parse(instance: u32, name: &str) -> Option<SessionKey> {
    let mut parts = name.split('-');
    if u32::from_str_radix(parts.next()?, 16).ok()? != instance {
        return None;
    }
    let worker = WorkerId(parts.next()?.parse().ok()?);
    let slot = parts.next()?.parse().ok()?;
    let generation = parts.next()?.parse().ok()?;
    let key = SessionKey::here(worker, slot, generation);
    parts.next().is_none().then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_session_and_nothing_else_does() {
        let key = SessionKey::here(WorkerId(3), 70_000, u32::MAX);
        assert_eq!(parse(0xab, &name(0xab, key)), Some(key));
        for other in [
            "",
            "-",
            "ab",
            "000000ab-3-1",
            "000000ab-3-1-1-1",
            "000000ab-70000-1-1",
            "000000ac-3-1-1",
            "000000ab-3-x-1",
            "日本-1-1-1",
        ] {
            assert_eq!(parse(0xab, other), None, "{other}");
        }
    }
}
