//! The JSON Schema of every message.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::catalogue::{Entry, methods, notifications};
use super::definitions;
use crate::{RequestId, WireError};

/// The JSON Schema: `ClientMessage` is what a client sends, `ServerMessage` what it receives.
pub fn json_schema() -> Value {
    let mut g = SchemaSettings::draft2020_12().into_generator();
    let id = g.subschema_for::<RequestId>().to_value();
    let error = g.subschema_for::<WireError>().to_value();
    let methods = methods(&mut g);
    let notifications = notifications(&mut g);

    let requests: Vec<Value> = methods.iter().map(|entry| request(entry, &id)).collect();
    let answers = methods.iter().map(|entry| {
        let result = json!({ "title": format!("result of {}", entry.name) });
        object(result, &["id", "result"], json!({ "id": id, "result": entry.result_ref }))
    });
    let error = object(
        json!({ "title": "error" }),
        &["id", "error"],
        json!({ "id": { "anyOf": [id, { "type": "null" }] }, "error": error }),
    );
    let notices = notifications.iter().map(|entry| {
        let title = json!({ "title": entry.name, "description": entry.summary });
        object(
            title,
            &["method", "params"],
            json!({ "method": { "const": entry.name }, "params": entry.params_ref }),
        )
    });
    let server: Vec<Value> = answers.chain([error]).chain(notices).collect();

    let mut defs = Map::new();
    defs.insert(
        "ClientMessage".into(),
        json!({ "description": "what a client sends", "oneOf": requests }),
    );
    // Results do not name their method, so one may fit several methods: `anyOf`.
    defs.insert(
        "ServerMessage".into(),
        json!({ "description": "what a client receives", "anyOf": server }),
    );
    definitions(g, &mut defs);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Greenroom's messages",
        "anyOf": [{ "$ref": "#/$defs/ClientMessage" }, { "$ref": "#/$defs/ServerMessage" }],
        "$defs": defs,
    })
}

fn request(entry: &Entry, id: &Value) -> Value {
    let head =
        json!({ "title": entry.name, "description": entry.summary, "additionalProperties": false });
    let needs_params = entry
        .params
        .get("required")
        .and_then(Value::as_array)
        .is_some_and(|required| !required.is_empty());
    let required: &[&str] = if needs_params { &["method", "params"] } else { &["method"] };
    object(
        head,
        required,
        json!({ "id": id, "method": { "const": entry.name }, "params": entry.params_ref }),
    )
}

/// An object's schema, with JSON-RPC's own member added.
fn object(mut head: Value, required: &[&str], mut properties: Value) -> Value {
    properties["jsonrpc"] = json!({ "const": "2.0" });
    head["type"] = "object".into();
    head["required"] = ["jsonrpc"].iter().chain(required).copied().collect();
    head["properties"] = properties;
    head
}
