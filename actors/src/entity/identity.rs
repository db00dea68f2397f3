//! What makes two ops the same: their type and the value of their body.
//!
//! An outcome keeps a hash of both, so that reusing a number for a different op is noticed. The hash
//! is stored, and a repeat may be spelled differently: in the other codec, with other white space or
//! escapes, or by a client that iterates over a map in another order. So it is a hash of values, and
//! its definition must never change.

use std::num::NonZeroU64;

use greenroom_protocol::RawJson;
use memchr::memchr2;
use xxhash_rust::xxh3::xxh3_64;

/// The bits of a hash that are kept: an integer of this size is exact in every JSON reader.
const BITS: u32 = 53;

/// The hash of an op: XXH3 of its type and its values, encoded as below.
///
/// It need not resist attacks: a client that finds two ops with one hash deceives only itself.
pub(super) fn op_hash(r#type: &str, body: &RawJson) -> NonZeroU64 {
    let mut bytes = Vec::with_capacity(r#type.len() + body.len() + 64);
    text(r#type, &mut bytes);
    Values { json: body.as_str(), at: 0 }.value(&mut bytes);
    NonZeroU64::new(xxh3_64(&bytes) >> (64 - BITS)).unwrap_or(NonZeroU64::MIN)
}

/// Walks through valid JSON value by value.
struct Values<'a> {
    json: &'a str,
    at: usize,
}

impl Values<'_> {
    fn value(&mut self, into: &mut Vec<u8>) {
        let Some(first) = self.peek() else { return };
        into.push(first_of_its_kind(first));
        match first {
            b'"' => text(&self.string(), into),
            b'[' => {
                self.at += 1;
                while self.peek().is_some_and(|next| next != b']') {
                    self.value(into);
                    self.skip(b',');
                }
                self.at += 1;
                into.push(b']');
            }
            b'{' => self.members(into),
            _ => {
                let scalar = self.scalar();
                match first {
                    b't' | b'f' | b'n' => {}
                    _ => number(scalar, into),
                }
            }
        }
    }

    /// Writes the sum of the members' hashes, so that their order does not matter. Each member is
    /// written, hashed and removed again.
    fn members(&mut self, into: &mut Vec<u8>) {
        self.at += 1;
        let begin = into.len();
        let mut sum = 0_u64;
        while self.peek().is_some_and(|next| next != b'}') {
            text(&self.string(), into);
            self.skip(b':');
            self.value(into);
            sum = sum.wrapping_add(xxh3_64(&into[begin..]));
            into.truncate(begin);
            self.skip(b',');
        }
        self.at += 1;
        into.extend_from_slice(&sum.to_le_bytes());
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.json.as_bytes()[self.at..];
        self.at += rest.iter().position(|byte| !byte.is_ascii_whitespace())?;
        self.json.as_bytes().get(self.at).copied()
    }

    fn skip(&mut self, byte: u8) {
        if self.peek() == Some(byte) {
            self.at += 1;
        }
    }

    /// The string that begins here, without its escapes.
    fn string(&mut self) -> std::borrow::Cow<'_, str> {
        self.peek();
        let begin = self.at;
        let bytes = self.json.as_bytes();
        let mut escapes = false;
        self.at += 1;
        while let Some(found) = bytes.get(self.at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
            self.at += found;
            if bytes[self.at] == b'"' {
                break;
            }
            escapes = true;
            self.at += 2;
        }
        self.at += 1;
        let quoted = self.json.get(begin..self.at).unwrap_or_default();
        let inside = quoted.get(1..quoted.len() - 1).unwrap_or_default();
        // A lone surrogate is not valid in a Rust string: such text is kept as it is.
        match escapes.then(|| serde_json::from_str::<String>(quoted)) {
            Some(Ok(plain)) => plain.into(),
            _ => inside.into(),
        }
    }

    /// The number, `true`, `false` or `null` that begins here.
    fn scalar(&mut self) -> &str {
        let rest = &self.json[self.at..];
        let ends = |byte: u8| matches!(byte, b',' | b']' | b'}') || byte.is_ascii_whitespace();
        let end = rest.bytes().position(ends).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }
}

/// A letter for each kind of value. All numbers are one kind.
fn first_of_its_kind(first: u8) -> u8 {
    if first == b'-' || first.is_ascii_digit() { b'0' } else { first }
}

/// Writes the length first, so that two strings cannot run together.
fn text(text: &str, into: &mut Vec<u8>) {
    into.extend_from_slice(&(text.len() as u64).to_le_bytes());
    into.extend_from_slice(text.as_bytes());
}

/// Writes the value: `1`, `1.0` and `1e0` are the same. A 64-bit integer that no double represents
/// exactly is written as its text, and so is a number outside the range of doubles.
fn number(number: &str, into: &mut Vec<u8>) {
    // The largest integer below which a double represents every one. Most numbers are below it, and
    // this spares them two slower parsers.
    const EXACT: u64 = 1 << 53;
    if let Ok(integer) = number.parse::<i64>()
        && integer.unsigned_abs() <= EXACT
    {
        return into.extend_from_slice(&(integer as f64).to_bits().to_le_bytes());
    }
    let double = number.parse::<f64>().unwrap_or(f64::NAN);
    let integer = number
        .parse::<i128>()
        .ok()
        .filter(|integer| i64::try_from(*integer).is_ok() || u64::try_from(*integer).is_ok());
    if double.is_finite() && integer.is_none_or(|integer| double as i128 == integer) {
        // Turns -0 into 0.
        into.extend_from_slice(&(double + 0.0).to_bits().to_le_bytes());
    } else {
        text(number, into);
    }
}

#[cfg(test)]
mod tests {
    use greenroom_protocol::params::Send;
    use greenroom_protocol::{Call, CodecKind, EntityId};
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn hash(json: &str) -> NonZeroU64 {
        op_hash("post", &RawJson::from_text(json).unwrap())
    }

    /// Stored hashes must never change their meaning: these values may not change.
    #[test]
    fn it_is_defined_once_and_for_all() {
        let table = [
            ("post", "null", 1_550_002_272_667_965),
            ("post", r#"{"text":"hi"}"#, 6_355_056_972_869_215),
            ("set", r#"{"path":"/a/b","value":[1,-2.5,"é",true,null,{}]}"#, 5_928_381_605_545_295),
        ];
        let hashes = table
            .map(|(r#type, json, _)| op_hash(r#type, &RawJson::from_text(json).unwrap()).get());
        assert_eq!(hashes, table.map(|(.., hash)| hash));
        assert!(hashes.iter().all(|hash| *hash < 1 << BITS));
    }

    #[test]
    fn one_value_in_many_spellings_is_one_op() {
        let table: &[&[&str]] = &[
            &["1", "1.0", "10e-1", "1E0"],
            &["0", "-0", "0.0", "-0.0"],
            &["1e300", "1E+300", "10e299"],
            &[r#""é/\n""#, r#""\u00e9\/\u000a""#, r#""\u00E9/\n""#],
            &[
                r#"{"a":1,"b":[2,3]}"#,
                r#" { "b" : [ 2 , 3 ] , "a" : 1 } "#,
                r#"{"\u0061":1,"b":[2,3.0]}"#,
            ],
            &["[]", "[ ]"],
            &["18446744073709551615"],
            &["18446744073709551614"],
            &["9007199254740993"],
            &["9007199254740992", "9007199254740992.0"],
            &["100000000000000000000", "1e20"],
            &["2"],
            &["true"],
            &["false"],
            &["null"],
            &[r#""""#],
            &[r#""null""#],
            &[r#""1""#],
            &["{}"],
            &["[[]]"],
            &["[{}]"],
            &["[1,2]"],
            &["[2,1]"],
            &["[12]"],
            &["[[1],2]"],
            &["[[1,2]]"],
            &[r#"{"a":1}"#],
            &[r#"{"a":"1"}"#],
            &[r#"{"a":1,"a":1}"#],
            &[r#"{"a":{"b":1}}"#],
            &[r#"{"a":1,"b":1}"#],
            &[r#"{"ab":1}"#],
            &[r#"["a","b"]"#],
            &[r#"["ab",""]"#],
            &[r#"["a\"","b"]"#],
            &[r#""\\""#],
            &[r#""\ud800""#],
            &["1e999"],
        ];
        let mut seen = std::collections::HashMap::new();
        for (class, spellings) in table.iter().enumerate() {
            for spelling in *spellings {
                let other = seen.insert(hash(spelling), (class, spelling));
                assert!(other.is_none_or(|(other, _)| other == class), "{spelling} and {other:?}");
                assert_eq!(seen[&hash(spellings[0])].0, class, "{spelling}");
                assert_eq!(hash(spelling), hash(spellings[0]), "{spelling}");
            }
        }
        let body = RawJson::from_text("1").unwrap();
        assert_ne!(op_hash("post", &body), op_hash("edit", &body), "another type is another op");
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            let members = proptest::collection::btree_map("[a-zé\"\\\\]{0,3}", inner.clone(), 0..4);
            prop_oneof![
                proptest::collection::vec(inner, 0..4).prop_map(Value::from),
                members.prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn through(codec: CodecKind, body: &RawJson) -> RawJson {
        let entity = EntityId::parse("room:a").unwrap();
        let call = Call::Send(Send {
            entity,
            r#type: "post".into(),
            body: body.clone(),
            n: None,
            first_sent: None,
            if_seq: None,
            tag: None,
        });
        let mut bytes = Vec::new();
        codec.encode_request(None, &call, &mut bytes);
        match codec.decode(&bytes).unwrap().call {
            Call::Send(send) => send.body,
            other => panic!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn a_repeat_through_the_other_codec_is_the_same_op(value in value()) {
            let compact = RawJson::from_value(&value).unwrap();
            let pretty = RawJson::from_text(serde_json::to_string_pretty(&value).unwrap()).unwrap();
            for body in [&compact, &pretty] {
                for codec in CodecKind::ALL {
                    prop_assert_eq!(op_hash("t", &through(codec, body)), op_hash("t", &compact), "{:?} {}", codec, body.as_str());
                }
            }
        }
    }
}
