//! Numbers: read exactly, added exactly.
//!
//! serde_json's float parser can be off in the last bit, so a value would change on its way through
//! a snapshot. The standard library's is exact, and its output parses to the same value.

use greenroom_protocol::limits::MAX_INTEGER;
use serde_json::Number;

/// The number that JSON text means: an integer if it is written as one and fits into 64 bits,
/// otherwise the nearest float. `None` if that is infinite or the text is not a number.
pub(super) fn parse(text: &str) -> Option<Number> {
    let negative_zero = text == "-0";
    if !negative_zero && !text.contains(['.', 'e', 'E']) {
        let integer = text
            .parse::<u64>()
            .map(Number::from)
            .or_else(|_| text.parse::<i64>().map(Number::from));
        if let Ok(integer) = integer {
            return Some(integer);
        }
    }
    // The standard library also reads "inf" and "nan".
    let is_number = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    let float = text.parse::<f64>().ok().filter(|_| is_number)?;
    Number::from_f64(float)
}

/// The sum: an integer if both are integers, otherwise a float. `None` if the result is an integer
/// beyond 2^53 - 1, which browsers cannot represent, or an infinite float.
pub(super) fn add(a: &Number, b: &Number) -> Option<Number> {
    let (Some(x), Some(y)) = (integer(a), integer(b)) else {
        return Number::from_f64(a.as_f64()? + b.as_f64()?);
    };
    let sum = i64::try_from(x + y).ok()?;
    (sum.unsigned_abs() <= MAX_INTEGER).then(|| Number::from(sum))
}

/// Whether two numbers have the same value, however they are written.
pub(super) fn same(a: &Number, b: &Number) -> bool {
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a.as_f64() == b.as_f64(),
    }
}

fn integer(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}
