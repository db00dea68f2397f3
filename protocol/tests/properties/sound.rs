//! What is accepted of bodies, against a parser that is strict in another way.

use std::collections::BTreeSet;
use std::fmt;

use greenroom_protocol::{Call, CodecKind, ErrorCode, RawJson, Request, RequestId};
use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::json;

/// Any value, unless an object has a key twice. That numbers and strings are such as Rust can hold
/// is serde_json's doing.
struct Strict;

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Strict, A::Error> {
        let mut keys = BTreeSet::new();
        while let Some((key, Strict)) = map.next_entry::<String, Strict>()? {
            if !keys.insert(key) {
                return Err(A::Error::custom("twice"));
            }
        }
        Ok(Strict)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Strict, A::Error> {
        while seq.next_element::<Strict>()?.is_some() {}
        Ok(Strict)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_str<E>(self, _: &str) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_unit<E>(self) -> Result<Strict, E> {
        Ok(Strict)
    }
}

/// Objects with few keys, spelled in several ways, so that some are there twice.
fn crowded() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        r#""a""#,
        r#""\u0061""#,
        r#""b""#,
        r#""/""#,
        r#""\/""#,
        r#""é""#,
        r#""\u00e9""#,
        r#""""#,
    ]);
    let numbered = prop_oneof![3 => key.prop_map(str::to_owned), 2 => (0..40_u32).prop_map(|n| format!("\"{n}\""))];
    let leaf = Just("1".to_owned());
    leaf.prop_recursive(4, 60, 14, move |inner| {
        let member = (numbered.clone(), inner.clone()).prop_map(|(key, value)| format!("{key}:{value}"));
        prop_oneof![
            1 => prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            4 => prop::collection::vec(member, 0..14).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

fn request(method: &str, body: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{"entity":"room:a","type":"t","body":{body}}}}}"#
    )
}

fn body(request: Request) -> RawJson {
    match request.call {
        Call::Send(params) => params.body,
        Call::Signal(params) => params.body,
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn what_is_accepted_survives_a_strict_parser(text in prop_oneof![json::text(), crowded()], method in "send|signal") {
        let strict = serde_json::from_str::<Strict>(&text).is_ok();
        match CodecKind::Json.decode(request(&method, &text).as_bytes()) {
            Ok(accepted) => {
                prop_assert!(strict, "{}", text);
                // The other codec says the same, and accepts it as well.
                let mut packed = Vec::new();
                CodecKind::MsgPack.encode_request(accepted.id.as_ref(), &accepted.call, &mut packed);
                let packed = CodecKind::MsgPack.decode(&packed).map(body);
                prop_assert!(packed.as_ref().is_ok_and(|body| body.check().is_ok() && body.parse::<Strict>().is_ok()), "{} {:?}", text, packed);
            }
            Err(malformed) => {
                prop_assert!(!strict, "{} {:?}", text, malformed);
                prop_assert_eq!(malformed.error.data.code, ErrorCode::InvalidParams);
                prop_assert_eq!(malformed.id, Some(RequestId::Number(1)));
            }
        }
    }

    /// Keys that are there twice are so in MessagePack, whatever spelled them.
    #[test]
    fn messagepack_is_refused_for_the_same_keys(text in crowded()) {
        let sound = RawJson::from_text(&text).unwrap().check().is_ok();
        let call = Call::Send(greenroom_protocol::params::Send {
            entity: "room:a".parse().unwrap(),
            r#type: "t".into(),
            body: RawJson::from_text(&text).unwrap(),
            n: None,
            first_sent: None,
            if_seq: None,
            tag: None,
        });
        let mut packed = Vec::new();
        CodecKind::MsgPack.encode_request(Some(&RequestId::Number(1)), &call, &mut packed);
        prop_assert_eq!(CodecKind::MsgPack.decode(&packed).is_ok(), sound, "{}", text);
    }
}

/// Many keys cost what sorting them costs, whatever they are.
#[test]
fn many_keys() {
    let alike = "k".repeat(40);
    let keys: Vec<_> = (0..20_000).map(|i| format!(r#""{alike}{i}":{{}}"#)).collect();
    let object = RawJson::from_text(format!("{{{}}}", keys.join(","))).unwrap();
    assert_eq!(object.check(), Ok(()));
    let twice = RawJson::from_text(format!(r#"{{{},"{alike}777":0}}"#, keys.join(","))).unwrap();
    assert_eq!(twice.check().unwrap_err().reason(), "duplicate_key");
    let nested =
        RawJson::from_text(format!("{}1{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000)))
            .unwrap();
    assert_eq!(nested.check(), Ok(()));
}
