//! Which type belongs to which method.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::codec::Method;
use crate::{notify, params, results};

/// One method, or one notification (which has no result).
pub struct Entry {
    /// The name on the wire.
    pub name: &'static str,
    /// One line for a reader.
    pub summary: &'static str,
    /// The params' schema, written out: an object with its properties.
    pub params: Schema,
    /// A reference to the same.
    pub params_ref: Schema,
    /// A reference to the result's schema.
    pub result_ref: Option<Schema>,
}

/// The methods, in the order of [`Call::METHODS`](crate::Call::METHODS).
pub fn methods(g: &mut SchemaGenerator) -> Vec<Entry> {
    vec![
        method::<params::Connect, results::Connected>(
            g,
            "connect",
            "identify, and resume where the connection broke",
        ),
        method::<params::Subscribe, results::Subscribed>(g, "subscribe", "follow an entity"),
        method::<params::Target, results::Empty>(g, "unsubscribe", "stop following an entity"),
        method::<params::Send, results::Sent>(
            g,
            "send",
            "ask for a durable op; answered when it is on disk",
        ),
        method::<params::Signal, results::Empty>(
            g,
            "signal",
            "send a volatile message to an entity's other subscribers",
        ),
        method::<params::Target, results::State>(g, "read", "fetch an entity's committed state"),
        method::<params::History, results::HistoryPage>(
            g,
            "history",
            "fetch a page of past events",
        ),
        method::<params::Presence, results::PresenceList>(
            g,
            "presence",
            "list who is here, enter, or leave",
        ),
        method::<params::Ping, results::Pong>(
            g,
            "ping",
            "ask whether the server is there, and for its time",
        ),
    ]
}

/// The notifications, in the order of [`Method::ALL`].
pub fn notifications(g: &mut SchemaGenerator) -> Vec<Entry> {
    vec![
        notification::<notify::Event>(g, Method::Event, "an op was accepted and is on disk"),
        notification::<notify::Signal>(
            g,
            Method::Signal,
            "another subscriber sent a volatile message",
        ),
        notification::<notify::PresenceChange>(g, Method::Presence, "users came, changed or went"),
        notification::<notify::Reset>(
            g,
            Method::Reset,
            "the subscription could not be continued: replace what you have",
        ),
        notification::<notify::Unsubscribed>(
            g,
            Method::Unsubscribed,
            "the server has ended a subscription",
        ),
        notification::<notify::Left>(
            g,
            Method::Left,
            "the server has ended this session's own presence",
        ),
        notification::<notify::Goodbye>(
            g,
            Method::Goodbye,
            "the server will close this connection",
        ),
        notification::<notify::Refused>(g, Method::Refused, "requests without an id were refused"),
    ]
}

fn method<P: JsonSchema, R: JsonSchema>(
    g: &mut SchemaGenerator,
    name: &'static str,
    summary: &'static str,
) -> Entry {
    Entry {
        name,
        summary,
        params: P::json_schema(g),
        params_ref: g.subschema_for::<P>(),
        result_ref: Some(g.subschema_for::<R>()),
    }
}

fn notification<P: JsonSchema>(
    g: &mut SchemaGenerator,
    method: Method,
    summary: &'static str,
) -> Entry {
    Entry {
        name: method.as_str(),
        summary,
        params: P::json_schema(g),
        params_ref: g.subschema_for::<P>(),
        result_ref: None,
    }
}
