//! Reading `params` by the method's type.

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error};
use serde_json::value::RawValue;

use super::clip;
use crate::params::by_name::Object;
use crate::{Call, ErrorCode, WireError};

/// Reads the params of this method, one of [`Call::METHODS`].
#[derive(Clone, Copy)]
pub struct Params<'m>(pub &'m str);

impl<'de> DeserializeSeed<'de> for Params<'_> {
    type Value = Call;

    fn deserialize<D: Deserializer<'de>>(self, params: D) -> Result<Call, D::Error> {
        fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
            params: D,
        ) -> Result<T, D::Error> {
            Object::deserialize(params).map(|Object(params)| params)
        }
        Ok(match self.0 {
            "connect" => Call::Connect(object(params)?),
            "subscribe" => Call::Subscribe(object(params)?),
            "unsubscribe" => Call::Unsubscribe(object(params)?),
            "send" => Call::Send(object(params)?),
            "signal" => Call::Signal(object(params)?),
            "read" => Call::Read(object(params)?),
            "history" => Call::History(object(params)?),
            "presence" => Call::Presence(object(params)?),
            "ping" => Call::Ping(object(params)?),
            _ => return Err(D::Error::custom("there is no such method")),
        })
    }
}

/// Reads the params of `method`; left out, they are `{}`.
pub fn read(method: &str, params: Option<&RawValue>) -> Result<Call, WireError> {
    if !Call::METHODS.contains(&method) {
        let method = clip(method);
        let known = Call::METHODS.join("`, `");
        return Err(WireError::new(
            ErrorCode::MethodNotFound,
            format!("no method `{method}`; there are `{known}`"),
        ));
    }
    let text = params.map_or("{}", RawValue::get);
    if !text.starts_with('{') {
        return Err(WireError::new(ErrorCode::InvalidParams, "params are an object, by name"));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    Params(method).deserialize(&mut json).map_err(|_| explain(method, text))
}

/// Reads once more, slowly, to find out which field is wrong.
fn explain(method: &str, text: &str) -> WireError {
    let mut json = serde_json::Deserializer::from_str(text);
    let mut track = serde_path_to_error::Track::new();
    let message = match Params(method)
        .deserialize(serde_path_to_error::Deserializer::new(&mut json, &mut track))
    {
        Ok(_) => "the params do not fit the method".to_owned(),
        Err(error) => {
            let path = track.path().to_string();
            let error = error.to_string();
            // The place within the text means nothing to a caller whose library wrote it.
            let what = error.rsplit_once(" at line ").map_or(error.as_str(), |(what, _)| what);
            match path.as_str() {
                "." => format!("params: {}", clip(what)),
                path => format!("`{}`: {}", clip(path), clip(what)),
            }
        }
    };
    WireError::new(ErrorCode::InvalidParams, message)
}
