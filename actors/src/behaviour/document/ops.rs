//! Parses the bodies of a document's ops.

use std::borrow::Cow;

use greenroom_protocol::RawJson;
use json_patch::Patch;
use json_patch::jsonptr::PointerBuf;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Number, Value};

use super::edit::Edit;
use super::node::Node;
use super::{Rejection, number, parse, patch};

/// A well-formed op.
#[derive(Debug)]
pub(super) enum Change {
    Patch(Patch),
    Merge(Value),
    Increment { path: PointerBuf, by: Number },
    Set { path: PointerBuf, value: Value },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IncrementBody<'a> {
    #[serde(borrow)]
    path: Cow<'a, str>,
    #[serde(borrow)]
    by: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetBody<'a> {
    #[serde(borrow)]
    path: Cow<'a, str>,
    #[serde(borrow)]
    value: &'a RawValue,
}

impl Change {
    /// Parses an op or an event whose depth has been checked.
    pub(super) fn parse(r#type: &str, body: &RawJson) -> Result<Self, Rejection> {
        match r#type {
            "increment" => {
                let IncrementBody { path, by } = fields(body, r#"{"path": "/likes", "by": 1}"#)?;
                let by =
                    number::parse(by.get()).ok_or_else(|| invalid("`by` is a finite number"))?;
                Ok(Self::Increment { path: pointer(&path)?, by })
            }
            "set" => {
                let SetBody { path, value } = fields(body, r#"{"path": "/a", "value": …}"#)?;
                Ok(Self::Set { path: pointer(&path)?, value: value_of(value.get())? })
            }
            "merge" => Ok(Self::Merge(value_of(body.as_str())?)),
            "patch" => {
                let operations = value_of(body.as_str())?;
                let patch = serde_json::from_value(operations)
                    .map_err(|error| invalid(format!("the body is not a JSON Patch: {error}")))?;
                Ok(Self::Patch(patch))
            }
            _ => Err(Rejection::new(
                "unknown_op",
                "a document's ops are `patch`, `merge`, `increment` and `set`",
            )),
        }
    }

    /// If this is refused, the caller must roll back the steps done so far.
    pub(super) fn perform(self, edit: &mut Edit<'_>) -> Result<Option<RawJson>, Rejection> {
        match self {
            Self::Patch(operations) => patch::perform(operations, edit).map(|()| None),
            Self::Merge(value) => edit.merge(value).map(|()| None),
            Self::Set { path, value } => edit.set(&path, value).map(|()| None),
            Self::Increment { path, by } => {
                let value = Value::Number(increment(&path, by, edit)?);
                Ok(Some(RawJson::from_value(&value).expect("a number is JSON")))
            }
        }
    }
}

fn increment(path: &PointerBuf, by: Number, edit: &mut Edit<'_>) -> Result<Number, Rejection> {
    let not_a_number = |message: String| Rejection::new("not_a_number", message);
    match edit.get(path) {
        Some(Node::Number(old)) => {
            let beyond = || {
                not_a_number(format!(
                    "{old} + {by} is beyond what a number holds: 2^53 - 1 for integers, about 1.8e308 for floats"
                ))
            };
            let new = number::add(old, &by).ok_or_else(beyond)?;
            edit.replace(path, Node::Number(new.clone()))?;
            Ok(new)
        }
        Some(_) => {
            Err(not_a_number(format!("there is no number at `{}`", super::tree::shown(path))))
        }
        None => {
            // A missing member counts as 0; a missing array element has no place to put the result.
            let above = path.parent().and_then(|above| edit.get(above));
            if !matches!(above, Some(Node::Object(_))) {
                let message = format!(
                    "there is neither a number at `{}` nor an object to put it in",
                    super::tree::shown(path)
                );
                return Err(Rejection::new("patch_failed", message));
            }
            let new = number::add(&Number::from(0), &by)
                .ok_or_else(|| not_a_number(format!("{by} is beyond 2^53 - 1")))?;
            edit.add(path, Value::Number(new.clone()))?;
            Ok(new)
        }
    }
}

fn fields<'a, T: Deserialize<'a>>(body: &'a RawJson, shape: &str) -> Result<T, Rejection> {
    // A struct may also be given as an array; the protocol has objects only.
    if !body.as_str().trim_start().starts_with('{') {
        return Err(invalid(format!("the body must look like {shape}")));
    }
    body.parse().map_err(|error| invalid(format!("the body must look like {shape}: {error}")))
}

fn pointer(text: &str) -> Result<PointerBuf, Rejection> {
    PointerBuf::parse(text).map_err(|_| {
        let text: String = text.chars().take(100).collect();
        invalid(format!("`{text}` is not a JSON Pointer: one is empty or begins with `/`, and has `~` only in `~0` and `~1`"))
    })
}

fn value_of(text: &str) -> Result<Value, Rejection> {
    parse::parse(text).map_err(|error| invalid(error.to_string()))
}

fn invalid(message: impl Into<Cow<'static, str>>) -> Rejection {
    Rejection::new("invalid_body", message)
}
