//! The documents in `docs/` say what the types say. With `GREENROOM_WRITE_DOCS=1` the generated
//! ones are written anew.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking, as the test does")]

use std::path::PathBuf;

use greenroom_protocol::{Call, CloseCode, CodecKind, ErrorCode, Method, schema};
use serde_json::Value;

fn docs(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(docs(name)).unwrap_or_else(|e| panic!("docs/{name}: {e}"))
}

/// Compares values, not text: the order of members depends on how serde_json is built.
fn compare(name: &str, mut generated: Value) {
    if std::env::var_os("GREENROOM_WRITE_DOCS").is_some() {
        generated.sort_all_objects();
        let text = serde_json::to_string_pretty(&generated).unwrap();
        std::fs::write(docs(name), text + "\n").unwrap();
    }
    let committed: Value = serde_json::from_str(&read(name)).unwrap();
    assert!(
        committed == generated,
        "docs/{name} differs from the types; run this test with GREENROOM_WRITE_DOCS=1 and commit the file"
    );
}

#[test]
fn openrpc_is_up_to_date() {
    compare("openrpc.json", schema::openrpc());
}

#[test]
fn json_schema_is_up_to_date() {
    compare("schema.json", schema::json_schema());
}

#[test]
fn every_reference_leads_somewhere() {
    for document in [schema::openrpc(), schema::json_schema()] {
        let mut references = Vec::new();
        collect_references(&document, &mut references);
        assert!(references.len() > 20, "only {} references", references.len());
        for reference in references {
            let pointer = reference
                .strip_prefix('#')
                .unwrap_or_else(|| panic!("`{reference}` leaves the document"));
            assert!(document.pointer(pointer).is_some(), "`{reference}` leads nowhere");
        }
    }
}

fn collect_references(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            into.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            for value in members.values() {
                collect_references(value, into);
            }
        }
        Value::Array(items) => {
            for value in items {
                collect_references(value, into);
            }
        }
        _ => {}
    }
}

#[test]
fn openrpc_has_every_method_and_notification() {
    let document = schema::openrpc();
    let names = |list: &str| -> Vec<String> {
        document[list]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names("methods"), Call::METHODS);
    assert_eq!(names("x-notifications"), Method::ALL.map(Method::as_str));
}

/// The text between `heading` and the next heading of the same level.
fn section(heading: &str) -> String {
    let document = read("protocol.md");
    let start = document
        .find(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("no `{heading}` in docs/protocol.md"));
    let rest = &document[start + heading.len() + 2..];
    rest[..rest.find("\n## ").unwrap_or(rest.len())].to_owned()
}

/// The cells of the rows of the section's tables, headings left out.
fn rows(section: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>()
    };
    let mut rows: Vec<Vec<String>> =
        section.lines().filter(|line| line.starts_with('|')).map(cells).collect();
    assert!(rows.len() > 2, "no table");
    rows.drain(..2);
    rows
}

#[test]
fn the_error_table_is_the_code() {
    let documented: Vec<_> = rows(&section("## Errors"))
        .into_iter()
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect();
    let ours: Vec<_> = ErrorCode::ALL
        .iter()
        .map(|code| (code.number().to_string(), format!("`{}`", code.as_str())))
        .collect();
    assert_eq!(documented, ours);
}

#[test]
fn the_names_of_errors_on_the_wire_are_their_names() {
    for code in ErrorCode::ALL {
        assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        assert!(!code.meaning().is_empty());
    }
}

#[test]
fn the_close_codes_are_the_code() {
    let documented: Vec<_> = rows(&section("## Close codes"))
        .into_iter()
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect();
    let ours: Vec<_> = CloseCode::ALL
        .iter()
        .map(|code| {
            let reason = match (code, code.reason()) {
                (CloseCode::UnsupportedData, _) => {
                    CodecKind::ALL.map(|codec| format!("`{}`", codec.frames_only())).join(" / ")
                }
                (_, "") => String::new(),
                (_, reason) => format!("`{reason}`"),
            };
            (code.number().to_string(), reason)
        })
        .collect();
    assert_eq!(documented, ours);
}

#[test]
fn the_methods_and_notifications_are_the_code() {
    let methods = section("## Methods");
    let documented: Vec<_> =
        methods.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`')).collect();
    assert_eq!(documented, Call::METHODS);

    let notifications = section("## Notifications");
    let documented: Vec<_> = notifications
        .lines()
        .filter_map(|line| Some(line.strip_prefix("* `")?.split_once('`')?.0))
        .collect();
    assert_eq!(documented, Method::ALL.map(Method::as_str));
}

#[test]
fn the_subprotocols_are_the_code() {
    let table = section("## Connecting");
    let documented: Vec<_> =
        rows(&table).into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    let ours = CodecKind::ALL.map(|codec| {
        (
            format!("`{}`", codec.subprotocol()),
            if codec.is_text() { "text" } else { "binary" }.to_owned(),
        )
    });
    assert_eq!(documented, ours);
}
