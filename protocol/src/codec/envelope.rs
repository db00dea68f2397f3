//! Reading a request from JSON text: JSON-RPC's rules first, then the method's.
//!
//! A message that nests too deep is read member by member, which takes no recursion, so that its
//! answer bears its id.

use serde_json::error::Category;
use serde_json::value::RawValue;

use self::members::{Members, Root};
use super::Malformed;
use crate::limits::{MAX_DEPTH, MAX_REQUEST_ID};
use crate::text::deeper_than;
use crate::{Call, ErrorCode, Request, RequestId, WireError};

mod members;
mod params;
mod straight;

/// Reads one request.
pub(super) fn read_request(text: &str) -> Result<Request, Malformed> {
    if deeper_than(text, MAX_DEPTH) { read_by_member(text) } else { read_shallow(text) }
}

/// Reads one request that is known not to nest too deep.
pub(super) fn read_shallow(text: &str) -> Result<Request, Malformed> {
    straight::read(text).map_or_else(|| read_by_member(text), Ok)
}

/// Reads one request, member by member, and tells what is wrong with it.
fn read_by_member(text: &str) -> Result<Request, Malformed> {
    let mut members = Members::default();
    let mut json = serde_json::Deserializer::from_str(text);
    let root = Root::read(&mut json, &mut members)
        .and_then(|root| json.end().map(|()| root))
        .map_err(|e| {
            let error = match e.classify() {
                Category::Eof => Malformed::unparsable("the message ends too early".into()),
                _ => Malformed::unparsable(format!("not valid: {}", clip(&e.to_string()))),
            };
            // It may have come before what is wrong.
            Malformed { id: read_id(&members).ok().flatten(), ..error }
        })?;
    match root {
        Root::Object => {}
        Root::Array => {
            return Err(invalid_request(
                None,
                "batches are not supported: send each request as a message of its own",
            ));
        }
        Root::Scalar(what) => {
            return Err(invalid_request(None, format!("a request is an object, not {what}")));
        }
    }
    let id = read_id(&members)?;
    match read_call(&members) {
        Ok(call) => Ok(Request { id, call }),
        Err(error) => Err(Malformed { id, error }),
    }
}

/// The id comes first: whatever else is wrong, the answer should reach the one who asked.
fn read_id(members: &Members<'_>) -> Result<Option<RequestId>, Malformed> {
    const RULE: &str = "`id` is a whole number or a string of at most 128 bytes; leave it out where no answer is wanted";
    const _: () = assert!(MAX_REQUEST_ID == 128, "RULE names the limit");

    let Some(raw) = members.id else { return Ok(None) };
    if members.twice == Some("id") {
        return Err(invalid_request(None, "`id` is there twice"));
    }
    id_of(raw.get()).map(Some).ok_or_else(|| invalid_request(None, RULE))
}

/// The id that JSON text spells.
pub(super) fn id_of(text: &str) -> Option<RequestId> {
    let short =
        |id: &RequestId| !matches!(id, RequestId::Text(text) if text.len() > MAX_REQUEST_ID);
    serde_json::from_str(text).ok().filter(short)
}

fn read_call(members: &Members<'_>) -> Result<Call, WireError> {
    let invalid = |message: String| Err(WireError::new(ErrorCode::InvalidRequest, message));
    if let Some(name) = members.twice {
        return invalid(format!("`{name}` is there twice"));
    }
    if let Some(name) = &members.unknown {
        return invalid(format!(
            "unknown member `{}`: a request has `jsonrpc`, `id`, `method` and `params`",
            clip(name)
        ));
    }
    if members.jsonrpc.and_then(string).as_deref() != Some("2.0") {
        return invalid("`jsonrpc` must be there and be \"2.0\"".into());
    }
    let Some(method) = members.method.and_then(string) else {
        return invalid("`method` must be there and be a string".into());
    };
    if members.params.is_some_and(|params| deeper_than(params.get(), MAX_DEPTH - 1)) {
        let message = format!("params: a message nests at most {MAX_DEPTH} levels deep");
        return Err(WireError::new(ErrorCode::InvalidParams, message).reason("too_deep"));
    }
    let call = params::read(&method, members.params)?;
    call.check()?;
    Ok(call)
}

fn string(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

fn invalid_request(
    id: Option<RequestId>,
    message: impl Into<std::borrow::Cow<'static, str>>,
) -> Malformed {
    Malformed { id, error: WireError::new(ErrorCode::InvalidRequest, message) }
}

/// Parser messages may quote the client: an answer does not grow with what was asked.
fn clip(text: &str) -> &str {
    const MOST: usize = 160;
    let mut end = text.len().min(MOST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
