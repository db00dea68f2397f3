//! What a value must keep so that every parser reads the same from it.
//!
//! JSON's grammar lets through what parsers read differently: numbers that no double holds, halves
//! of surrogate pairs, and objects with the same key twice. The message's parser passes bodies on
//! as text, so they are looked through here, once, in time n log n at worst and without recursion.

use std::borrow::Cow;

use super::unescape::{hex4, unescape};

/// What is wrong with a value that is JSON by its grammar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// A number beyond a double.
    #[error("the number `{0}` is beyond what a double holds")]
    Number(String),
    /// Half of a surrogate pair.
    #[error("a string has half of a surrogate pair, `{0}`, which is no character")]
    Surrogate(String),
    /// Twice the same key in an object.
    #[error("an object has the key `{0}` twice")]
    DuplicateKey(String),
}

impl Flaw {
    /// A stable word for programs.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Number(_) => "number_out_of_range",
            Self::Surrogate(_) => "invalid_string",
            Self::DuplicateKey(_) => "duplicate_key",
        }
    }
}

/// Looks through `text`, which is one JSON value.
pub fn check(text: &str) -> Result<(), Flaw> {
    let bytes = text.as_bytes();
    // The keys of all objects that are open, each object's behind a `None`.
    let mut keys: Vec<Option<Cow<'_, str>>> = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let (inside, escaped) = string(text, at + 1)?;
                at += inside.len() + 2;
                if is_key(&bytes[at.min(bytes.len())..]) {
                    keys.push(Some(if escaped { unescape(inside).into() } else { inside.into() }));
                }
            }
            b'-' | b'0'..=b'9' => at += number(&text[at..])?,
            b'{' => {
                keys.push(None);
                at += 1;
            }
            b'}' => {
                let first = keys.iter().rposition(Option::is_none).map_or(0, |open| open + 1);
                if let Some(key) = twice(&mut keys[first..]) {
                    return Err(Flaw::DuplicateKey(clip(key)));
                }
                keys.truncate(first.saturating_sub(1));
                at += 1;
            }
            _ => at += 1,
        }
    }
    Ok(())
}

/// What is between a string's quotes, the first of which is before `start`, and whether there are
/// escapes in it.
fn string(text: &str, start: usize) -> Result<(&str, bool), Flaw> {
    let bytes = text.as_bytes();
    let mut at = start;
    let mut escaped = false;
    loop {
        at += plain(&bytes[at..]);
        if bytes.get(at) != Some(&b'\\') {
            break;
        }
        escaped = true;
        at += escape(&text[at..])?;
    }
    Ok((text.get(start..at).unwrap_or_default(), escaped))
}

/// How many bytes come before the next quote or backslash: most of a message, so eight of them are
/// looked at together.
fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    // The highest bit of each byte that is `byte`; beyond the first it may be set for others.
    let found = |word: u64, byte: u8| {
        let zero = word ^ (ONES * u64::from(byte));
        zero.wrapping_sub(ONES) & !zero & (ONES << 7)
    };
    let mut at = 0;
    while let Some(eight) = bytes[at..].first_chunk() {
        let word = u64::from_le_bytes(*eight);
        let first = found(word, b'"') | found(word, b'\\');
        if first != 0 {
            return at + first.trailing_zeros() as usize / 8;
        }
        at += eight.len();
    }
    at + bytes[at..].iter().take_while(|byte| !matches!(byte, b'"' | b'\\')).count()
}

/// The length of the escape that `text` begins with: one character, or a pair that is one.
fn escape(text: &str) -> Result<usize, Flaw> {
    const UNIT: usize = r"\uXXXX".len();
    let unit = |text: &str| text.strip_prefix(r"\u").and_then(hex4);
    match unit(text) {
        None => Ok(2),
        Some(0xd800..=0xdbff)
            if unit(&text[UNIT..]).is_some_and(|second| (0xdc00..=0xdfff).contains(&second)) =>
        {
            Ok(2 * UNIT)
        }
        Some(0xd800..=0xdfff) => Err(Flaw::Surrogate(text[..UNIT].into())),
        Some(_) => Ok(UNIT),
    }
}

/// The length of the number that `text` begins with.
fn number(text: &str) -> Result<usize, Flaw> {
    // A number of at most this length is within a double whatever its digits are, unless there is
    // an exponent.
    const SHORT: usize = 300;
    let mut len = 0;
    let mut exponent = false;
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' | b'-' | b'+' | b'.' => {}
            b'e' | b'E' => exponent = true,
            _ => break,
        }
        len += 1;
    }
    let number = &text[..len];
    if (exponent || len > SHORT) && !number.parse::<f64>().is_ok_and(f64::is_finite) {
        return Err(Flaw::Number(clip(number)));
    }
    Ok(len)
}

/// Whether what follows a string makes it a key.
fn is_key(rest: &[u8]) -> bool {
    rest.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
}

/// A key that is there twice. Comparing in order, not by a hash, is as quick for any keys.
fn twice<'k>(keys: &'k mut [Option<Cow<'_, str>>]) -> Option<&'k str> {
    const FEW: usize = 8;
    if keys.len() <= FEW {
        let twice = (1..keys.len()).find(|&at| keys[..at].contains(&keys[at]))?;
        return keys[twice].as_deref();
    }
    keys.sort_unstable();
    keys.windows(2).find(|pair| pair[0] == pair[1])?[0].as_deref()
}

/// As much of a client's text as a message shows.
fn clip(text: &str) -> String {
    const MOST: usize = 40;
    let mut shown: String = text.chars().take(MOST).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_parsers_read_differently_is_found() {
        let digits = "9".repeat(308);
        let zeros = "0".repeat(5000);
        let sound = [
            "null",
            r#""""#,
            "[]",
            "-0.0e-0",
            "1e308",
            "-1.7976931348623157e308",
            "1e-999",
            "18446744073709551616",
            &digits,
            &format!("0.{zeros}1"),
            &format!("0e{digits}"),
            r#""\ud83d\ude00 \u0000 \\ud800 \"""#,
            r#"{"a":{"a":1},"b":[{"a":1},{"a":1}],"":0}"#,
            r#"{"A":1,"a":2,"\u00e1":3,"a ":4}"#,
            r#"["a","a",{"a" : "a"}]"#,
            r#"{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9,"j":{"a":1}}"#,
        ];
        for text in sound {
            assert_eq!(check(text), Ok(()), "{}", &text[..text.len().min(100)]);
        }
        let beyond = format!("{digits}{digits}");
        let exponent = format!("1e{digits}");
        let flawed = [
            ("1e309", "number_out_of_range"),
            ("[0,-1e400]", "number_out_of_range"),
            ("179769313486231580e292", "number_out_of_range"),
            (beyond.as_str(), "number_out_of_range"),
            (exponent.as_str(), "number_out_of_range"),
            (r#""\ud800""#, "invalid_string"),
            (r#""\uDC00""#, "invalid_string"),
            (r#""\ud800\ud800\udc00""#, "invalid_string"),
            (r#""\ud800\n\udc00""#, "invalid_string"),
            (r#""\ud800x""#, "invalid_string"),
            (r#""\udc00\ud800""#, "invalid_string"),
            (r#"{"\ud800":1}"#, "invalid_string"),
            (r#"{"a":1,"a":1}"#, "duplicate_key"),
            (r#"{"a":1, "\u0061" :2}"#, "duplicate_key"),
            (r#"{"\ud83d\ude00":1,"😀":2}"#, "duplicate_key"),
            (r#"{"/":1,"\/":2}"#, "duplicate_key"),
            (r#"{"":1,"":2}"#, "duplicate_key"),
            (r#"[{"a":{"a":1},"b":[{"b":1}],"a":{}}]"#, "duplicate_key"),
            (
                r#"{"x":{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9,"\u0063":{"a":1}}}"#,
                "duplicate_key",
            ),
        ];
        for (text, reason) in flawed {
            let flaw = check(text).unwrap_err();
            assert_eq!(flaw.reason(), reason, "{}", &text[..text.len().min(100)]);
            assert!(flaw.to_string().len() < 200, "{flaw}");
        }
    }
}
