//! The types of each method's params and result.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::codec::Method;
use crate::{notify, params, results};

/// One method, or one notification (which has no result).
pub struct Entry {
    /// The name on the wire.
    pub name: &'static str,
    /// A description in one line.
    pub summary: &'static str,
    /// The params' schema in full: an object with its properties.
    pub params: Schema,
    /// A reference to that schema.
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
            "identify the client, and resume where the connection was lost",
        ),
        method::<params::Subscribe, results::Subscribed>(g, "subscribe", "follow an entity"),
        method::<params::Target, results::Empty>(g, "unsubscribe", "stop following an entity"),
        method::<params::Send, results::Sent>(
            g,
            "send",
            "send a durable op; answered once it is on disk",
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
            "list who is present, enter, or leave",
        ),
        method::<params::Ping, results::Pong>(
            g,
            "ping",
            "check that the server responds, and get its time",
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
        notification::<notify::PresenceChange>(
            g,
            Method::Presence,
            "users joined, changed or left",
        ),
        notification::<notify::Reset>(
            g,
            Method::Reset,
            "the subscription could not be continued: replace your state",
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
