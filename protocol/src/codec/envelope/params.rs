//! Reading `params` by the method's type.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::clip;
use crate::params::by_name::Object;
use crate::{Call, ErrorCode, WireError};

/// Reads the params of `method`; left out, they are `{}`.
pub fn read(method: &str, params: Option<&RawValue>) -> Result<Call, WireError> {
    let text = params.map_or("{}", RawValue::get);
    Ok(match method {
        "connect" => Call::Connect(object(text)?),
        "subscribe" => Call::Subscribe(object(text)?),
        "unsubscribe" => Call::Unsubscribe(object(text)?),
        "send" => Call::Send(object(text)?),
        "signal" => Call::Signal(object(text)?),
        "read" => Call::Read(object(text)?),
        "history" => Call::History(object(text)?),
        "presence" => Call::Presence(object(text)?),
        "ping" => Call::Ping(object(text)?),
        _ => {
            let (method, known) = (clip(method), Call::METHODS.join("`, `"));
            return Err(WireError::new(ErrorCode::MethodNotFound, format!("no method `{method}`; there are `{known}`")));
        }
    })
}

fn object<T: DeserializeOwned>(text: &str) -> Result<T, WireError> {
    if !text.starts_with('{') {
        return Err(WireError::new(ErrorCode::InvalidParams, "params are an object, by name"));
    }
    match serde_json::from_str::<Object<T>>(text) {
        Ok(Object(params)) => Ok(params),
        Err(_) => Err(explain::<T>(text)),
    }
}

/// Reads once more, slowly, to find out which field is wrong.
fn explain<T: DeserializeOwned>(text: &str) -> WireError {
    let mut json = serde_json::Deserializer::from_str(text);
    let message = match serde_path_to_error::deserialize::<_, Object<T>>(&mut json) {
        Ok(_) => "the params do not fit the method".to_owned(),
        Err(e) => {
            let (path, inner) = (e.path().to_string(), e.inner().to_string());
            // The place within the text means nothing to a caller whose library wrote it.
            let what = inner.rsplit_once(" at line ").map_or(inner.as_str(), |(what, _)| what);
            match path.as_str() {
                "." => format!("params: {}", clip(what)),
                path => format!("`{}`: {}", clip(path), clip(what)),
            }
        }
    };
    WireError::new(ErrorCode::InvalidParams, message)
}
