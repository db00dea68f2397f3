//! The state that documents begin with.

use std::collections::BTreeMap;

use greenroom_protocol::RawJson;
use greenroom_protocol::text::Flaw;
use serde::de::{Deserialize, Deserializer, Error};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::parse::{self, Unreadable};
use super::{DEEPEST, Tree};

/// A valid initial state of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Initial(Value);

/// Why a document cannot begin with a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadInitial {
    /// It nests deeper than any document may.
    #[error("it nests deeper than {DEEPEST}")]
    TooDeep,
    /// Parsers do not agree on what it means.
    #[error(transparent)]
    Flawed(#[from] Flaw),
    /// It has a number or a string that documents cannot hold.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// It has a number that JSON cannot express.
    #[error("there is infinity or NaN in it, which JSON does not have")]
    NotFinite,
}

impl Initial {
    /// Parses JSON.
    ///
    /// # Errors
    /// If a document cannot begin with it.
    pub fn new(json: &RawJson) -> Result<Self, BadInitial> {
        if json.deeper_than(DEEPEST) {
            return Err(BadInitial::TooDeep);
        }
        json.check()?;
        Ok(Self(parse::parse(json.as_str())?))
    }

    pub(super) fn tree(&self) -> Tree {
        Tree::new(self.0.clone())
    }
}

/// `{}`.
impl Default for Initial {
    fn default() -> Self {
        Self(Value::Object(Map::new()))
    }
}

impl Serialize for Initial {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Initial {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(from)?;
        if !written.is_finite() {
            return Err(D::Error::custom(BadInitial::NotFinite));
        }
        let json = RawJson::from_value(&written).map_err(D::Error::custom)?;
        Self::new(&json).map_err(D::Error::custom)
    }
}

/// A value as a configuration file of any format may contain it. TOML has infinity and NaN, which a
/// [`Value`] would turn into null.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
enum Written {
    Null(()),
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Text(String),
    List(Vec<Written>),
    Table(BTreeMap<String, Written>),
}

impl Written {
    fn is_finite(&self) -> bool {
        match self {
            Self::Float(float) => float.is_finite(),
            Self::List(values) => values.iter().all(Self::is_finite),
            Self::Table(members) => members.values().all(Self::is_finite),
            _ => true,
        }
    }
}
