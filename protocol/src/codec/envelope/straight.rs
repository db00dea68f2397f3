//! Reading a request in one go, as nearly all clients write it: known members, each once, `method`
//! before `params`.
//!
//! It says nothing of what it does not take: whoever reads a request then reads it again, member by
//! member, to tell what is wrong.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use super::params::Params;
use crate::limits::MAX_REQUEST_ID;
use crate::{Request, RequestId};

/// The request, if it is one that can be read in one go.
pub fn read(text: &str) -> Option<Request> {
    let Straight(request) = serde_json::from_str(text).ok()?;
    request.call.check().ok()?;
    Some(request)
}

struct Straight(Request);

impl<'de> Deserialize<'de> for Straight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Envelope).map(Self)
    }
}

struct Envelope;

impl<'de> Visitor<'de> for Envelope {
    type Value = Request;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a request")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Request, A::Error> {
        let other = || A::Error::custom("not in one go");
        let mut version = None;
        let mut id = None;
        let mut method = None;
        let mut call = None;
        while let Some(name) = map.next_key::<&str>()? {
            match name {
                "jsonrpc" if version.is_none() => version = Some(map.next_value::<&str>()?),
                "id" if id.is_none() => id = Some(map.next_value::<RequestId>()?),
                "method" if method.is_none() => method = Some(map.next_value::<&str>()?),
                "params" if call.is_none() => {
                    call = Some(map.next_value_seed(Params(method.ok_or_else(other)?))?);
                }
                _ => return Err(other()),
            }
        }
        let short =
            |id: &RequestId| !matches!(id, RequestId::Text(text) if text.len() > MAX_REQUEST_ID);
        match call {
            Some(call) if version == Some("2.0") && id.as_ref().is_none_or(short) => {
                Ok(Request { id, call })
            }
            _ => Err(other()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::super::read_by_member;

    /// Members that are right, wrong or strange.
    const MEMBERS: [&str; 22] = [
        r#""jsonrpc":"2.0""#,
        r#""jsonrpc":"2.\u0030""#,
        r#""jsonrpc":"1.0""#,
        r#""jsonrpc":2.0"#,
        r#""id":1"#,
        r#""id":"a""#,
        r#""id":null"#,
        r#""id":1.0"#,
        r#""id":18446744073709551615"#,
        r#""\u0069d":7"#,
        r#""method":"send""#,
        r#""method":"ping""#,
        r#""method":"read""#,
        r#""method":"nothing""#,
        r#""method":null"#,
        r#""params":{"entity":"room:a","type":"post","body":[1e999,"\ud800"]}"#,
        r#""params":{"entity":"room:a","entity":"room:b","type":"post"}"#,
        r#""params":{"entity":"room:a","type":"post","body":1,"n":0}"#,
        r#""params":{"entity":"room:a"}"#,
        r#""params":{}"#,
        r#""params":["room:a"]"#,
        r#""more":1"#,
    ];

    proptest! {
        #[test]
        fn it_agrees_with_reading_by_member(members in proptest::collection::vec(select(&MEMBERS[..]), 0..6), end in select(&["}", "", "} ", "}}", ",}"][..])) {
            let text = format!("{{{}{end}", members.join(","));
            if let Some(request) = super::read(&text) {
                prop_assert_eq!(Ok(request), read_by_member(&text).map_err(|malformed| malformed.error.message), "{}", text);
            }
        }
    }

    #[test]
    fn what_clients_write_is_read_in_one_go() {
        for id in ["", r#""id":1,"#, r#""id":"a","#] {
            let text = format!(
                r#"{{"jsonrpc":"2.0",{id}"method":"send","params":{{"entity":"room:a","type":"post","body":{{}},"n":1}}}}"#
            );
            assert!(super::read(&text).is_some(), "{text}");
        }
        let long = "x".repeat(129);
        let text = format!(r#"{{"jsonrpc":"2.0","id":"{long}","method":"ping","params":{{}}}}"#);
        assert!(super::read(&text).is_none(), "its id is too long");
    }
}
