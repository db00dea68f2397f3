//! JSON that is passed on unparsed.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

/// One JSON value as text, kept byte for byte and never parsed on its way through the server.
///
/// Clones share the text. Only serde_json can serialize it; for MessagePack the codec transcodes
/// the text.
///
/// The text follows JSON's grammar, but its value may not fit any Rust type: `1e999` and `"\ud800"`
/// are valid JSON. So [`RawJson::parse`] can fail even for a `serde_json::Value`. No codec accepts
/// such values: see [`RawJson::check`].
// `None` stands for the text `null`, so that `NULL` can be a constant.
#[derive(Clone)]
pub struct RawJson(Option<Arc<RawValue>>);

impl RawJson {
    /// The text `null`.
    pub const NULL: Self = Self(None);

    /// The text `{}`.
    pub fn empty_object() -> Self {
        RawValue::from_string("{}".into()).expect("it is JSON").into()
    }

    /// Serializes `value` to JSON text.
    ///
    /// # Errors
    /// The error of `value`'s `Serialize`.
    pub fn from_value<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        to_raw_value(value).map(Self::from)
    }

    /// Copies text after checking that it is one JSON value, without the white space around it.
    ///
    /// # Errors
    /// If the text is not JSON.
    pub fn from_text(text: impl AsRef<[u8]>) -> Result<Self, serde_json::Error> {
        let raw: &RawValue = serde_json::from_slice(text.as_ref())?;
        Ok(raw.to_owned().into())
    }

    fn raw(&self) -> &RawValue {
        self.0.as_deref().unwrap_or(RawValue::NULL)
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        self.raw().get()
    }

    /// The length of the text in bytes.
    pub fn len(&self) -> usize {
        self.as_str().len()
    }

    /// Always false: a JSON value has at least one byte.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Whether the value is a JSON object.
    pub fn is_object(&self) -> bool {
        self.as_str().starts_with('{')
    }

    /// Parses the text.
    ///
    /// # Errors
    /// If the value does not have the shape of `T`, nests deeper than 128 levels, or contains a
    /// number or a string that `T` cannot hold.
    pub fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.as_str())
    }

    /// Checks that all parsers read the text in the same way.
    ///
    /// # Errors
    /// A number that does not fit a double, half of a surrogate pair, or a duplicate key in an
    /// object.
    pub fn check(&self) -> Result<(), crate::text::Flaw> {
        crate::text::check(self.as_str())
    }

    /// Whether arrays and objects nest deeper than `limit` in the text.
    pub fn deeper_than(&self, limit: usize) -> bool {
        crate::text::deeper_than(self.as_str(), limit)
    }

    /// How deep arrays and objects nest in the text: 0 for a scalar.
    pub fn depth(&self) -> usize {
        crate::text::depth(self.as_str())
    }
}

impl From<Box<RawValue>> for RawJson {
    fn from(raw: Box<RawValue>) -> Self {
        Self(Some(raw.into()))
    }
}

impl Default for RawJson {
    fn default() -> Self {
        Self::NULL
    }
}

/// Two values are equal if their texts are: `1.0` differs from `1`.
impl PartialEq for RawJson {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for RawJson {}

impl fmt::Debug for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for RawJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // serde_json recognizes a `RawValue` and copies its text unchanged.
        self.raw().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RawJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(Self::from)
    }
}

impl schemars::JsonSchema for RawJson {
    fn schema_name() -> Cow<'static, str> {
        "Json".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "description": "any JSON value" })
    }
}
