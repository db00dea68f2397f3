//! What the stand-in for a server answers.

use std::collections::BTreeMap;

use greenroom_protocol::results::{Connected, Event, Rates, SessionLimits, SubscriptionOutcome};
use greenroom_protocol::{EntityId, RawJson};

use super::{Fault, json};

/// Messages in a room's state.
const MESSAGES: usize = 10;

/// What the events come to: the last messages of a room, or the counters of a document.
pub fn state(entity: &EntityId, events: &[Event], fault: Fault) -> RawJson {
    let events = events.iter().filter(|event| fault != Fault::LeaveOut(event.seq.get()));
    if !entity.as_str().starts_with("doc:") {
        // The bodies as they were sent, byte by byte.
        let message = |event: &Event| {
            let (seq, at, from, body) = (event.seq, event.at, &event.from, event.body.as_str());
            format!(r#"{{"seq":{seq},"at":{at},"from":"{from}","body":{body}}}"#)
        };
        let messages: Vec<_> = events.map(message).collect();
        let shown = messages[messages.len().saturating_sub(MESSAGES)..].join(",");
        let text = format!(r#"{{"messages":[{shown}]}}"#);
        return RawJson::from_text(text).expect("it is written here as JSON");
    }
    #[derive(serde::Deserialize)]
    struct Increment {
        path: String,
        by: i64,
    }
    let mut counters = BTreeMap::<String, i64>::new();
    for Increment { path, by } in events.filter_map(|event| event.body.parse().ok()) {
        *counters.entry(path.trim_start_matches('/').to_owned()).or_default() += by;
    }
    json(&counters)
}

pub fn hello(client: String, user: String, subscriptions: Vec<SubscriptionOutcome>) -> Connected {
    let limits = SessionLimits {
        max_message_bytes: 65536,
        max_body_bytes: 32768,
        max_subscriptions: 256,
        max_in_flight: 64,
        ping_interval_ms: 25000,
        rates: Rates::default(),
    };
    Connected {
        session: "s".into(),
        resumed: false,
        client,
        user,
        expires_at: None,
        now: 0,
        server: "fake/0".into(),
        limits,
        subscriptions,
        presence: Vec::new(),
    }
}
