//! The state that documents begin with.

use figment::value::{Num, Value};
use serde::de::{Deserialize, Deserializer, Error};

/// A value of the configuration as JSON. TOML has infinity and NaN; read as JSON at once they would
/// become null.
pub fn finite<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<serde_json::Value>, D::Error> {
    let Some(value) = Option::<Value>::deserialize(deserializer)? else { return Ok(None) };
    if !is_finite(&value) {
        return Err(D::Error::custom("there is infinity or NaN in it, which JSON does not have"));
    }
    serde_json::to_value(value).map(Some).map_err(D::Error::custom)
}

fn is_finite(value: &Value) -> bool {
    match value {
        Value::Num(_, Num::F64(float)) => float.is_finite(),
        Value::Num(_, Num::F32(float)) => float.is_finite(),
        Value::Array(_, values) => values.iter().all(is_finite),
        Value::Dict(_, members) => members.values().all(is_finite),
        _ => true,
    }
}
