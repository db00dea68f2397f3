//! Client ids: a ULID is 48 bits of time and 80 of chance in Crockford's base 32.

use std::time::{SystemTime, UNIX_EPOCH};

const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A new client id.
pub fn new() -> String {
    let ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    encode((ms & ((1 << 48) - 1)) << 80 | fastrand::u128(..1 << 80))
}

fn encode(bits: u128) -> String {
    (0..26).rev().map(|place| char::from(DIGITS[(bits >> (place * 5) & 31) as usize])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_their_form() {
        assert_eq!(encode(0), "00000000000000000000000000");
        assert_eq!(encode(u128::MAX), "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
        // The example of the ULID specification: its first ten digits are the time.
        assert_eq!(&encode(1_469_918_176_385 << 80)[..10], "01ARYZ6S41");
        assert_ne!(new(), new());
        assert!(new().starts_with("01"), "this century");
    }
}
