//! The OpenRPC document.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::catalogue::{Entry, methods, notifications};
use super::definitions;
use crate::error::ErrorData;
use crate::{CodecKind, ErrorCode};

/// The OpenRPC document. OpenRPC has no notifications from a server, so they are in
/// `x-notifications`.
pub fn openrpc() -> Value {
    let mut g = SchemaSettings::draft07()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();

    let error_data = g.subschema_for::<ErrorData>();
    let errors: Map<String, Value> = ErrorCode::ALL
        .iter()
        .map(|code| (code.as_str().to_owned(), error(*code, &error_data)))
        .collect();
    let every_error: Vec<Value> = ErrorCode::ALL
        .iter()
        .map(|code| json!({ "$ref": format!("#/components/errors/{}", code.as_str()) }))
        .collect();
    let method_docs: Vec<Value> = methods(&mut g)
        .iter()
        .map(|entry| {
            json!({
                "name": entry.name,
                "summary": entry.summary,
                "paramStructure": "by-name",
                "params": content_descriptors(entry),
                "result": { "name": "result", "required": true, "schema": entry.result_ref },
                "errors": every_error,
            })
        })
        .collect();
    let notification_docs: Vec<Value> = notifications(&mut g)
        .iter()
        .map(|entry| json!({ "name": entry.name, "summary": entry.summary, "params": content_descriptors(entry) }))
        .collect();

    let mut schemas = Map::new();
    definitions(g, &mut schemas);
    json!({
        "openrpc": "1.3.2",
        "info": {
            "title": "Greenroom",
            "version": "1.0.0",
            "description": "JSON-RPC 2.0 over WebSocket, at the path `/ws`. For a guide, see protocol.md next to this file.",
            "license": { "name": env!("CARGO_PKG_LICENSE") },
        },
        "servers": CodecKind::ALL.map(|codec| json!({
            "name": codec.subprotocol(),
            "url": "ws://127.0.0.1:8080/ws",
            "description": format!("{} frames; the WebSocket subprotocol is `{}`", if codec.is_text() { "text" } else { "binary" }, codec.subprotocol()),
        })),
        "methods": method_docs,
        "x-notifications": notification_docs,
        "components": { "schemas": schemas, "errors": errors },
    })
}

fn error(code: ErrorCode, data: &Schema) -> Value {
    json!({
        "code": code.number(),
        "message": code.meaning(),
        // An error object's `data` is a sample value; the schema says what it may contain.
        "data": { "code": code.as_str() },
        "x-data-schema": data,
    })
}

/// OpenRPC lists params one by one, even if they are passed by name.
fn content_descriptors(entry: &Entry) -> Vec<Value> {
    let required: Vec<&str> = entry
        .params
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let properties =
        entry.params.get("properties").and_then(Value::as_object).into_iter().flatten();
    let mut descriptors: Vec<Value> = properties
        .map(|(name, schema)| {
            let mut schema = schema.clone();
            let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
            json!({ "name": name, "required": required.contains(&name.as_str()), "description": description, "schema": schema })
        })
        .collect();
    // OpenRPC wants the required ones first.
    descriptors
        .sort_by_key(|descriptor| (descriptor["required"] != true, descriptor["name"].to_string()));
    descriptors
}
