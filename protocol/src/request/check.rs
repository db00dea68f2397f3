//! The rules for params that their types do not express.

use crate::limits::{MAX_HISTORY, MAX_INTEGER, MAX_KEY, MAX_META, MAX_SESSION, MAX_TAG, MAX_TYPE};
use crate::params::{Connect, History, Presence, PresenceAction, Send, Signal, Subscribe};
use crate::{Call, ErrorCode, RawJson, Seq, WireError};

impl Call {
    /// Checks a request against the protocol's limits.
    ///
    /// # Errors
    /// `invalid_params`, which names the field and says what it may be, or `too_large` for presence
    /// meta.
    pub fn check(&self) -> Result<(), WireError> {
        match self {
            Self::Connect(params) => connect(params),
            Self::Subscribe(params) => subscribe(params),
            Self::Send(params) => send(params),
            Self::Signal(params) => signal(params),
            Self::History(params) => history(params),
            Self::Presence(params) => presence(params),
            Self::Unsubscribe(_) | Self::Read(_) | Self::Ping(_) => Ok(()),
        }
    }
}

fn connect(params: &Connect) -> Result<(), WireError> {
    match &params.session {
        Some(session) if session.len() > MAX_SESSION => invalid(format!(
            "`session` must be at most {MAX_SESSION} bytes long, not {}",
            session.len()
        )),
        _ => {
            params.subscriptions.iter().try_for_each(subscribe)?;
            params.presence.iter().try_for_each(|enter| meta(enter.meta.as_ref()))
        }
    }
}

fn subscribe(params: &Subscribe) -> Result<(), WireError> {
    seq("after.seq", params.after.as_ref().map(|after| after.seq))
}

fn send(params: &Send) -> Result<(), WireError> {
    name("type", &params.r#type, MAX_TYPE)?;
    integer("n", params.n, 1)?;
    integer("first_sent", params.first_sent, 0)?;
    seq("if_seq", params.if_seq)?;
    params.tag.as_ref().map_or(Ok(()), |tag| name("tag", tag, MAX_TAG))?;
    sound("body", &params.body)
}

fn signal(params: &Signal) -> Result<(), WireError> {
    name("type", &params.r#type, MAX_TYPE)?;
    match &params.key {
        Some(key) if key.len() > MAX_KEY => {
            invalid(format!("`key` must be at most {MAX_KEY} bytes long, not {}", key.len()))
        }
        _ => sound("body", &params.body),
    }
}

fn history(params: &History) -> Result<(), WireError> {
    if params.before.is_some() && params.after.is_some() {
        return invalid(
            "`before` and `after` cannot be combined: give one of them or neither".into(),
        );
    }
    seq("before", params.before)?;
    seq("after", params.after)?;
    match params.limit {
        Some(limit) if !(1..=MAX_HISTORY).contains(&limit) => {
            invalid(format!("`limit` must be 1 to {MAX_HISTORY}, not {limit}"))
        }
        _ => Ok(()),
    }
}

fn presence(params: &Presence) -> Result<(), WireError> {
    if params.meta.is_some() && params.action != PresenceAction::Enter {
        return invalid("`meta` is only allowed with the action `enter`".into());
    }
    meta(params.meta.as_ref())
}

fn meta(meta: Option<&RawJson>) -> Result<(), WireError> {
    let Some(meta) = meta else { return Ok(()) };
    if !meta.is_object() {
        return invalid("`meta` must be an object".into());
    }
    if meta.len() > MAX_META {
        return Err(WireError::new(
            ErrorCode::TooLarge,
            format!("`meta` must be at most {MAX_META} bytes of JSON, not {}", meta.len()),
        ));
    }
    sound("meta", meta)
}

/// Values are passed on to other clients, which must all read them in the same way.
fn sound(field: &str, value: &RawJson) -> Result<(), WireError> {
    value.check().map_err(|flaw| {
        WireError::new(ErrorCode::InvalidParams, format!("`{field}`: {flaw}")).reason(flaw.reason())
    })
}

fn name(field: &str, text: &str, most: usize) -> Result<(), WireError> {
    match text.len() {
        0 => invalid(format!("`{field}` is empty: it must be 1 to {most} bytes long")),
        len if len > most => {
            invalid(format!("`{field}` must be 1 to {most} bytes long, not {len}"))
        }
        _ => Ok(()),
    }
}

fn integer(field: &str, value: Option<u64>, least: u64) -> Result<(), WireError> {
    match value {
        Some(value) if !(least..=MAX_INTEGER).contains(&value) => {
            invalid(format!("`{field}` must be {least} to {MAX_INTEGER}, not {value}"))
        }
        _ => Ok(()),
    }
}

fn seq(field: &str, value: Option<Seq>) -> Result<(), WireError> {
    integer(field, value.map(Seq::get), 0)
}

fn invalid(message: String) -> Result<(), WireError> {
    Err(WireError::new(ErrorCode::InvalidParams, message))
}
