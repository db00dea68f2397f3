//! The escapes of JSON strings.

/// Resolves the escapes in `inside`, which stands between a valid JSON string's quotes.
pub fn unescape(inside: &str) -> String {
    let mut text = String::with_capacity(inside.len());
    let mut rest = inside;
    while let Some((before, after)) = rest.split_once('\\') {
        text.push_str(before);
        let mut chars = after.chars();
        let escaped = chars.next();
        rest = chars.as_str();
        text.push(match escaped {
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => code_point(&mut rest),
            // A quote, a backslash or a slash.
            Some(other) => other,
            None => char::REPLACEMENT_CHARACTER,
        });
    }
    text.push_str(rest);
    text
}

/// Reads what follows `\u`, with the second half of a pair where there is one. Half a pair is no
/// character: U+FFFD.
fn code_point(rest: &mut &str) -> char {
    let Some(first) = hex4(rest) else { return char::REPLACEMENT_CHARACTER };
    *rest = &rest[4..];
    let second = match first {
        0xd800..=0xdbff => {
            rest.strip_prefix("\\u").and_then(hex4).filter(|unit| (0xdc00..=0xdfff).contains(unit))
        }
        _ => None,
    };
    let code = match second {
        Some(second) => {
            *rest = &rest["\\uXXXX".len()..];
            0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
        }
        None => first,
    };
    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The number that four hexadecimal digits at the beginning spell.
pub fn hex4(text: &str) -> Option<u32> {
    u32::from_str_radix(text.get(..4)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        let table = [
            (r"plain", "plain"),
            (r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r"\u00e9\u4E2D", "é中"),
            (r"x\ud83d\ude00y", "x😀y"),
            (r"\ud83d", "\u{fffd}"),
            (r"\ud83dx", "\u{fffd}x"),
            (r"\ude00\ud83d", "\u{fffd}\u{fffd}"),
            (r"\ud83d\u0041", "\u{fffd}A"),
            (r"\ud83d\ud83d\ude00", "\u{fffd}😀"),
            (r"\\u0041", r"\u0041"),
        ];
        for (inside, want) in table {
            assert_eq!(unescape(inside), want, "{inside}");
        }
    }
}
