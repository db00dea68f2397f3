//! A document of 1 MiB: an ordinary op, and the most expensive known patches.

use divan::Bencher;
use greenroom_actors::behaviour::document::{Document, DocumentConfig, Initial};
use greenroom_actors::behaviour::{Behaviour, Op};
use greenroom_protocol::{RawJson, Seq};

const MAX_STATE: usize = 1 << 20;

/// `/a` has small objects, `/l` numbers; together they are almost as large as a document may be.
fn document() -> Document {
    let objects: Vec<_> = (0..40_000).map(|i| format!(r#"{{"n":{i}}}"#)).collect();
    let initial =
        format!(r#"{{"a":[{}],"l":[{}0],"x":0}}"#, objects.join(","), "0,".repeat(200_000));
    let initial = RawJson::from_text(initial).expect("it is JSON");
    let initial = Initial::new(&initial).expect("documents can hold it");
    Document::new(&DocumentConfig {
        initial,
        max_state_bytes: MAX_STATE,
        ..DocumentConfig::default()
    })
}

fn patch(times: usize, operations: &[&str], last: &str) -> RawJson {
    let each = operations.join(",");
    RawJson::from_text(format!("[{}{last}]", format!("{each},").repeat(times))).expect("it is JSON")
}

#[derive(PartialEq)]
enum Outcome {
    Accepted,
    Refused,
}

/// One iteration decides the same op on the same document; `outcome` is what it must come to.
fn decide(bencher: Bencher<'_, '_>, r#type: &str, body: &RawJson, outcome: Outcome) {
    let mut document = document();
    let op = Op { r#type, body, from: "alice", moderator: false, seq: Seq::FIRST, at: 1 };
    bencher.bench_local(|| assert_eq!(document.decide(&op).is_ok(), outcome == Outcome::Accepted));
}

const FAILS: &str = r#"{"op":"remove","path":"/nowhere"}"#;

#[divan::bench]
fn increment(bencher: Bencher<'_, '_>) {
    decide(
        bencher,
        "increment",
        &RawJson::from_text(r#"{"path":"/x","by":1}"#).expect("it is JSON"),
        Outcome::Accepted,
    );
}

/// Moves there and back, followed by an operation that fails.
#[divan::bench(args = [1, 15])]
fn refused_moves(bencher: Bencher<'_, '_>, times: usize) {
    let moves =
        [r#"{"op":"move","from":"/a","path":"/b"}"#, r#"{"op":"move","from":"/b","path":"/a"}"#];
    decide(bencher, "patch", &patch(times, &moves, FAILS), Outcome::Refused);
}

/// Copies that are made and removed.
#[divan::bench]
fn refused_copies(bencher: Bencher<'_, '_>) {
    let copies = [r#"{"op":"copy","from":"/a","path":"/b"}"#, r#"{"op":"remove","path":"/b"}"#];
    decide(bencher, "patch", &patch(15, &copies, FAILS), Outcome::Refused);
}

/// Insertions into the middle of the longest array, as many as one op may do.
#[divan::bench]
fn refused_insertions(bencher: Bencher<'_, '_>) {
    decide(
        bencher,
        "patch",
        &patch(100, &[r#"{"op":"add","path":"/l/100000","value":0}"#], FAILS),
        Outcome::Refused,
    );
}

/// Copies of the longest array, changed so that they are really copied.
#[divan::bench]
fn refused_changed_copies(bencher: Bencher<'_, '_>) {
    let copies = [
        r#"{"op":"copy","from":"/l","path":"/b"}"#,
        r#"{"op":"replace","path":"/b/0","value":1}"#,
        r#"{"op":"remove","path":"/b"}"#,
    ];
    decide(bencher, "patch", &patch(15, &copies, FAILS), Outcome::Refused);
}
