//! The members of a request's envelope, each as raw JSON.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// What the outermost value is.
pub enum Root {
    /// Hopefully a request.
    Object,
    /// Hopefully a batch.
    Array,
    /// Anything else, with its name.
    Scalar(&'static str),
}

/// The members that JSON-RPC names, and the first of each kind of trouble.
#[derive(Default)]
pub struct Members<'a> {
    pub jsonrpc: Option<&'a RawValue>,
    pub id: Option<&'a RawValue>,
    pub method: Option<&'a RawValue>,
    pub params: Option<&'a RawValue>,
    /// A member that came more than once; `id` wins, because then there is no id to answer to.
    pub twice: Option<&'static str>,
    /// A member with another name.
    pub unknown: Option<String>,
}

impl Root {
    /// Reads a message. Where that fails, `members` has what came before.
    pub fn read<'de, D: Deserializer<'de>>(
        deserializer: D,
        members: &mut Members<'de>,
    ) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RootVisitor(members))
    }
}

struct RootVisitor<'m, 'de>(&'m mut Members<'de>);

impl<'de> Visitor<'de> for RootVisitor<'_, 'de> {
    type Value = Root;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a request")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Root, A::Error> {
        let Self(members) = self;
        while let Some(name) = map.next_key::<Name>()? {
            let (slot, name) = match name {
                Name::Jsonrpc => (&mut members.jsonrpc, "jsonrpc"),
                Name::Id => (&mut members.id, "id"),
                Name::Method => (&mut members.method, "method"),
                Name::Params => (&mut members.params, "params"),
                Name::Other(name) => {
                    map.next_value::<IgnoredAny>()?;
                    members.unknown.get_or_insert(name);
                    continue;
                }
            };
            if slot.replace(map.next_value()?).is_some() && members.twice != Some("id") {
                members.twice = Some(name);
            }
        }
        Ok(Root::Object)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Root, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Root::Array)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Root, E> {
        Ok(Root::Scalar("a boolean"))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Root, E> {
        Ok(Root::Scalar("a number"))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Root, E> {
        Ok(Root::Scalar("a number"))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Root, E> {
        Ok(Root::Scalar("a number"))
    }

    fn visit_str<E>(self, _: &str) -> Result<Root, E> {
        Ok(Root::Scalar("a string"))
    }

    fn visit_unit<E>(self) -> Result<Root, E> {
        Ok(Root::Scalar("null"))
    }
}

/// A member's name.
enum Name {
    Jsonrpc,
    Id,
    Method,
    Params,
    Other(String),
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_identifier(NameVisitor)
    }
}

struct NameVisitor;

impl Visitor<'_> for NameVisitor {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Name, E> {
        Ok(match name {
            "jsonrpc" => Name::Jsonrpc,
            "id" => Name::Id,
            "method" => Name::Method,
            "params" => Name::Params,
            other => Name::Other(other.to_owned()),
        })
    }
}
