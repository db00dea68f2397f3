//! The cost of ops, including hostile ones.

use super::*;
use crate::behaviour::ORDINARY_WORK;

const MAX_STATE: usize = 256 * 1024;

fn patch(operations: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", operations.into_iter().collect::<Vec<_>>().join(","))
}

fn moved(from: &str, to: &str) -> String {
    format!(r#"{{"op":"move","from":"{from}","path":"{to}"}}"#)
}

fn copied(from: &str, to: &str) -> String {
    format!(r#"{{"op":"copy","from":"{from}","path":"{to}"}}"#)
}

fn added(path: &str) -> String {
    format!(r#"{{"op":"add","path":"{path}","value":0}}"#)
}

fn removed(path: &str) -> String {
    format!(r#"{{"op":"remove","path":"{path}"}}"#)
}

/// `/a` has 100,000 elements, `/o` has 3,000 members and 3,000 arrays.
fn large() -> Document {
    let members: Vec<_> = (0..3_000).map(|i| format!(r#""{i}":[{i}]"#)).collect();
    let initial =
        begins(&format!(r#"{{"a":[{}0],"o":{{{}}}}}"#, "0,".repeat(99_999), members.join(",")));
    Document::new(&DocumentConfig { initial, max_state_bytes: MAX_STATE, ..Default::default() })
}

/// The cost of one patch, and the reason if it is refused.
fn cost(operations: impl IntoIterator<Item = String>) -> (usize, Result<(), &'static str>) {
    let mut document = large();
    let before = document.snapshot();
    let (work, outcome) = match send(&mut document, "patch", &patch(operations)) {
        Ok(accepted) => (accepted.work, Ok(())),
        Err(rejection) => (rejection.work, Err(rejection.reason)),
    };
    assert!(outcome.is_ok() || document.snapshot() == before, "a refused patch changes nothing");
    assert_eq!(document.size(), document.snapshot().len());
    (work, outcome)
}

#[test]
fn moves_tests_removals_and_replacements_cost_their_path() {
    let to_and_fro =
        |name: &'static str| (0..30).flat_map(move |_| [moved(name, "/b"), moved("/b", name)]);
    let fails = || std::iter::once(removed("/nowhere"));
    assert_eq!(cost(to_and_fro("/a")), (0, Ok(())));
    assert_eq!(cost(to_and_fro("/o")), (0, Ok(())));
    assert_eq!(cost(to_and_fro("/a").chain(fails())), (0, Err("patch_failed")));
    assert_eq!(
        cost([removed("/a"), removed("/o")].into_iter().chain(fails())),
        (0, Err("patch_failed"))
    );
    assert_eq!(
        cost((0..100).flat_map(|_| [copied("/o", "/p"), removed("/p")])),
        (0, Ok(())),
        "copies are shared"
    );
    assert_eq!(
        cost((0..700).map(|_| added("/a/0"))),
        (0, Ok(())),
        "an array has room at its beginning"
    );
    assert_eq!(cost((0..700).map(|_| added("/a/-"))), (0, Ok(())), "and at its end");
}

/// Short patches that would need gigabytes, or hours.
#[test]
fn short_patches_cannot_ask_for_much() {
    let worst = [
        ("doubling", patch_of(700, |i| vec![copied("", &format!("/{i}"))])),
        ("shifting", patch_of(700, |_| vec![added("/a/50000")])),
        ("shifting back", patch_of(700, |_| vec![added("/a/50000"), removed("/a/50000")])),
        ("moving within", patch_of(700, |_| vec![moved("/a/50000", "/a/40000")])),
        (
            "unsharing an array",
            patch_of(200, |_| vec![copied("/a", "/x"), added("/x/-"), removed("/x")]),
        ),
        (
            "unsharing an object",
            patch_of(200, |_| vec![copied("/o", "/x"), added("/x/y"), removed("/x")]),
        ),
    ];
    for (name, operations) in worst {
        let (work, outcome) = cost(operations);
        assert_eq!(outcome, Err("too_large"), "{name}");
        // One step may exceed the limit before it is checked.
        assert!(work <= 4 * MAX_STATE + 7 * 100_001, "{name} cost {work}");
    }
}

fn patch_of(times: usize, operations: impl Fn(usize) -> Vec<String>) -> Vec<String> {
    (0..times).flat_map(operations).collect()
}

/// A patch that is as deep as it is long names each of its keys once.
#[test]
fn merges_cost_what_they_bring() {
    let long = "k".repeat(10_000);
    let members: Vec<_> = (0..1_000).map(|i| format!(r#""{i}":{i}"#)).collect();
    let body = format!(r#"{{"{long}":{{"{long}":{{"{long}":{{{}}}}}}}}}"#, members.join(","));
    let mut document = document("{}");
    for _ in 0..2 {
        let accepted = send(&mut document, "merge", &body).unwrap();
        assert_eq!((document.snapshot().as_str().len(), accepted.work), (body.len(), 0));
    }
    let deep = format!(
        r#"{{"{long}":{{"{long}":{{"0":null,"{long}":{{"1":null,"2":{}1{}}}}}}}}}"#,
        "[".repeat(40),
        "]".repeat(40)
    );
    assert_eq!(send(&mut document, "merge", &deep).unwrap_err().reason, "too_deep");
    assert_eq!(
        (document.size(), document.snapshot().len()),
        (body.len(), body.len()),
        "what was merged before is taken back"
    );
}

/// A value of any size that an accepted op has left shared can be changed by the next op.
#[test]
fn the_largest_copy_can_be_changed() {
    let rest = MAX_STATE / 2 - 40;
    for (value, change) in [
        (format!("[{}0]", "0,".repeat(rest / 2)), r#"{"path":"/b/1","value":1}"#),
        (
            format!(
                "{{{}}}",
                (10_000..10_000 + rest / 10)
                    .map(|key| format!(r#""{key}":0"#))
                    .collect::<Vec<_>>()
                    .join(",")
            ),
            r#"{"path":"/b/10001","value":1}"#,
        ),
    ] {
        let initial = begins(&format!(r#"{{"a":{value}}}"#));
        let mut document = Document::new(&DocumentConfig {
            initial,
            max_state_bytes: MAX_STATE,
            ..Default::default()
        });
        send(&mut document, "patch", &patch([copied("/a", "/b")])).unwrap();
        assert!(document.size() > MAX_STATE * 9 / 10, "it is almost at the limit");
        assert!(send(&mut document, "set", change).unwrap().work > ORDINARY_WORK);
        assert!(
            send(&mut document, "set", change).unwrap().work < ORDINARY_WORK,
            "it is its own now"
        );
    }
}

#[test]
fn ordinary_ops_are_within_the_price_of_an_op() {
    let mut document = large();
    for (op, body) in [
        ("set", r#"{"path":"/a/50000","value":1}"#),
        ("increment", r#"{"path":"/a/50000","by":1}"#),
        ("merge", r#"{"o":{"7":null,"x":{"y":1}}}"#),
        ("patch", r#"[{"op":"add","path":"/a/50000","value":1}]"#),
    ] {
        let accepted = send(&mut document, op, body).unwrap();
        assert!(accepted.work < ORDINARY_WORK, "{op} cost {}", accepted.work);
    }
}
