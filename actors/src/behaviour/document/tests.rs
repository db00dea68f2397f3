//! Ops one by one; `against_oracle.rs` has the property tests.

use greenroom_protocol::ErrorCode;

use super::*;

mod against_oracle;
mod work;

fn begins(json: &str) -> Initial {
    Initial::new(&raw(json)).unwrap()
}

fn raw(text: &str) -> RawJson {
    RawJson::from_text(text).unwrap()
}

fn document(initial: &str) -> Document {
    // Lower than the limit for bodies.
    let max_depth = 32;
    Document::new(&DocumentConfig { initial: begins(initial), max_depth, ..Default::default() })
}

fn send(document: &mut Document, r#type: &str, body: &str) -> Result<Accepted, Rejection> {
    document.decide(&Op {
        r#type,
        body: &raw(body),
        from: "alice",
        moderator: false,
        seq: Seq::FIRST,
        at: 1,
    })
}

/// Sends one op to a new document. Returns the state afterwards, or the reason of the refusal.
fn outcome(initial: &str, r#type: &str, body: &str) -> Result<String, &'static str> {
    let mut document = document(initial);
    let size = document.size();
    let outcome = send(&mut document, r#type, body);
    let after = document.snapshot();
    assert_eq!(document.size(), after.len(), "the size is the text's");
    match outcome {
        Ok(_) => Ok(after.as_str().to_owned()),
        Err(rejection) => {
            assert_eq!(
                (after.as_str(), document.size()),
                (initial, size),
                "{type} {body} was refused and changed the state"
            );
            let too_large = rejection.reason == "too_large";
            assert_eq!(
                rejection.code,
                if too_large { ErrorCode::TooLarge } else { ErrorCode::Rejected }
            );
            Err(rejection.reason)
        }
    }
}

#[test]
fn increments() {
    let table = [
        ("{}", r#"{"path":"/likes","by":1}"#, Ok(r#"{"likes":1}"#)),
        (r#"{"likes":1}"#, r#"{"path":"/likes","by":-3}"#, Ok(r#"{"likes":-2}"#)),
        (r#"{"a":{"b":[1,2]}}"#, r#"{"path":"/a/b/1","by":5}"#, Ok(r#"{"a":{"b":[1,7]}}"#)),
        ("41", r#"{"path":"","by":1}"#, Ok("42")),
        (r#"{"a":1}"#, r#"{"path":"/a","by":0.5}"#, Ok(r#"{"a":1.5}"#)),
        (r#"{"a":0.1}"#, r#"{"path":"/a","by":0.2}"#, Ok(r#"{"a":0.30000000000000004}"#)),
        (r#"{"a/b~c":1}"#, r#"{"path":"/a~1b~0c","by":1}"#, Ok(r#"{"a/b~c":2}"#)),
        (r#"{"":{"-":1}}"#, r#"{"path":"//-","by":1}"#, Ok(r#"{"":{"-":2}}"#)),
        (r#"{"a":9007199254740990}"#, r#"{"path":"/a","by":1}"#, Ok(r#"{"a":9007199254740991}"#)),
        (r#"{"a":9007199254740991}"#, r#"{"path":"/a","by":1}"#, Err("not_a_number")),
        (r#"{"a":-9007199254740991}"#, r#"{"path":"/a","by":-1}"#, Err("not_a_number")),
        (
            r#"{"a":18446744073709551615}"#,
            r#"{"path":"/a","by":18446744073709551615}"#,
            Err("not_a_number"),
        ),
        (
            r#"{"a":-9223372036854775808}"#,
            r#"{"path":"/a","by":-9223372036854775808}"#,
            Err("not_a_number"),
        ),
        (
            r#"{"a":9223372036854775808}"#,
            r#"{"path":"/a","by":-9223372036854775801}"#,
            Ok(r#"{"a":7}"#),
        ),
        ("{}", r#"{"path":"/a","by":9007199254740992}"#, Err("not_a_number")),
        (r#"{"a":1.7e+308}"#, r#"{"path":"/a","by":1.7e308}"#, Err("not_a_number")),
        (r#"{"a":"1"}"#, r#"{"path":"/a","by":1}"#, Err("not_a_number")),
        (r#"{"a":null}"#, r#"{"path":"/a","by":1}"#, Err("not_a_number")),
        (r#"{"a":[1]}"#, r#"{"path":"/a/1","by":1}"#, Err("patch_failed")),
        (r#"{"a":[1]}"#, r#"{"path":"/a/-","by":1}"#, Err("patch_failed")),
        (r#"{"a":[1]}"#, r#"{"path":"/a/00","by":1}"#, Err("patch_failed")),
        ("{}", r#"{"path":"/a/b","by":1}"#, Err("patch_failed")),
        ("1", r#"{"path":"/a","by":1}"#, Err("patch_failed")),
        ("{}", r#"{"path":"a","by":1}"#, Err("invalid_body")),
        ("{}", r#"{"path":"/a~2","by":1}"#, Err("invalid_body")),
        ("{}", r#"{"path":"/a","by":"1"}"#, Err("invalid_body")),
        ("{}", r#"{"path":"/a","by":null}"#, Err("invalid_body")),
        ("{}", r#"{"path":"/a","by":1e999}"#, Err("invalid_body")),
        ("{}", r#"{"path":"/a"}"#, Err("invalid_body")),
        ("{}", r#"{"path":"/a","by":1,"also":2}"#, Err("invalid_body")),
        ("{}", r#"["/a",1]"#, Err("invalid_body")),
        ("{}", "1", Err("invalid_body")),
    ];
    for (initial, body, want) in table {
        assert_eq!(
            outcome(initial, "increment", body).as_deref().map_err(|e| *e),
            want,
            "{initial} {body}"
        );
    }
}

#[test]
fn an_increment_returns_the_new_value() {
    let mut document = document(r#"{"a":1}"#);
    for (body, want) in [
        (r#"{"path":"/a","by":2}"#, "3"),
        (r#"{"path":"/a","by":0.25}"#, "3.25"),
        (r#"{"path":"/b","by":-1}"#, "-1"),
    ] {
        assert_eq!(send(&mut document, "increment", body).unwrap().result.unwrap().as_str(), want);
    }
    assert_eq!(send(&mut document, "set", r#"{"path":"/a","value":1}"#).unwrap().result, None);
}

#[test]
fn sets() {
    let table = [
        ("{}", r#"{"path":"/a","value":{"b":[null]}}"#, Ok(r#"{"a":{"b":[null]}}"#)),
        (r#"{"a":1}"#, r#"{"path":"/a","value":"x\u00e9\n"}"#, Ok("{\"a\":\"xé\\n\"}")),
        (r#"{"a":1}"#, r#"{"path":"","value":[]}"#, Ok("[]")),
        (r#"{"a":[1,2]}"#, r#"{"path":"/a/0","value":9}"#, Ok(r#"{"a":[9,2]}"#)),
        (r#"{"a":[1,2]}"#, r#"{"path":"/a/1","value":9}"#, Ok(r#"{"a":[1,9]}"#)),
        (r#"{"a":[1,2]}"#, r#"{"path":"/a/2","value":9}"#, Ok(r#"{"a":[1,2,9]}"#)),
        (
            r#"{"a":[[1,2],{"b":[3]}]}"#,
            r#"{"path":"/a/1/b/0","value":[4]}"#,
            Ok(r#"{"a":[[1,2],{"b":[[4]]}]}"#),
        ),
        (
            r#"{"a":[[1,2],{"b":[3]}]}"#,
            r#"{"path":"/a/0/1","value":{}}"#,
            Ok(r#"{"a":[[1,{}],{"b":[3]}]}"#),
        ),
        ("[1,2]", r#"{"path":"/0","value":9}"#, Ok("[9,2]")),
        (r#"{"0":1,"-":2}"#, r#"{"path":"/-","value":9}"#, Ok(r#"{"-":9,"0":1}"#)),
        (r#"{"a":[1,2]}"#, r#"{"path":"/a/-","value":9}"#, Ok(r#"{"a":[1,2,9]}"#)),
        (r#"{"a":[]}"#, r#"{"path":"/a/0","value":9}"#, Ok(r#"{"a":[9]}"#)),
        ("{}", r#"{ "path" : "/a" , "value" : [ 1 , 2.50 , 1e2 ] }"#, Ok(r#"{"a":[1,2.5,100.0]}"#)),
        (r#"{"a":[1,2]}"#, r#"{"path":"/a/3","value":9}"#, Err("patch_failed")),
        (r#"{"a":[1,2]}"#, r#"{"path":"/a/01","value":9}"#, Err("patch_failed")),
        (
            r#"{"a":[1,2]}"#,
            r#"{"path":"/a/99999999999999999999999","value":9}"#,
            Err("patch_failed"),
        ),
        ("{}", r#"{"path":"/a/b","value":9}"#, Err("patch_failed")),
        (r#"{"a":1}"#, r#"{"path":"/a/b","value":9}"#, Err("patch_failed")),
        ("{}", r#"{"path":"x","value":9}"#, Err("invalid_body")),
        ("{}", r#"{"path":"/a"}"#, Err("invalid_body")),
        ("{}", r#"{"path":1,"value":9}"#, Err("invalid_body")),
        ("{}", r#"{"path":"/a","value":-1e400}"#, Err("invalid_body")),
        ("{}", r#"{"path":"/a","value":"\ud800"}"#, Err("invalid_body")),
    ];
    for (initial, body, want) in table {
        assert_eq!(
            outcome(initial, "set", body).as_deref().map_err(|e| *e),
            want,
            "{initial} {body}"
        );
    }
}

#[test]
fn patches() {
    let table = [
        ("{}", "[]", Ok("{}")),
        (
            r#"{"a":1}"#,
            r#"[{"op":"test","path":"/a","value":1.0},{"op":"replace","path":"/a","value":2}]"#,
            Ok(r#"{"a":2}"#),
        ),
        (
            r#"{"a":[1,2,3]}"#,
            r#"[{"op":"remove","path":"/a/1"},{"op":"add","path":"/a/-","value":4}]"#,
            Ok(r#"{"a":[1,3,4]}"#),
        ),
        (r#"{"a":{"b":1}}"#, r#"[{"op":"move","from":"/a/b","path":"/a"}]"#, Ok(r#"{"a":1}"#)),
        (r#"{"a":{"b":1}}"#, r#"[{"op":"move","from":"/a/b","path":""}]"#, Ok("1")),
        (r#"{"a":1}"#, r#"[{"op":"move","from":"/a","path":"/a"}]"#, Ok(r#"{"a":1}"#)),
        ("[1,2,3]", r#"[{"op":"move","from":"/0","path":"/-"}]"#, Ok("[2,3,1]")),
        (r#"{"a":1}"#, r#"[{"op":"copy","from":"","path":"/b"}]"#, Ok(r#"{"a":1,"b":{"a":1}}"#)),
        (
            "{}",
            r#"[{"op":"add","path":"/a","value":null,"comment":"ignored"}]"#,
            Ok(r#"{"a":null}"#),
        ),
        (
            r#"{"a":{"x":1,"y":[2]}}"#,
            r#"[{"op":"test","path":"/a","value":{"y":[2.0],"x":1}}]"#,
            Ok(r#"{"a":{"x":1,"y":[2]}}"#),
        ),
        // A late failure undoes the earlier steps.
        (
            r#"{"a":{"b":1}}"#,
            r#"[{"op":"move","from":"/a/b","path":""},{"op":"test","path":"","value":2}]"#,
            Err("test_failed"),
        ),
        (r#"{"a":1,"b":2}"#, r#"[{"op":"move","from":"/a","path":"/x/y"}]"#, Err("patch_failed")),
        (
            "[1,2]",
            r#"[{"op":"add","path":"/-","value":3},{"op":"move","from":"/0","path":"/-"},{"op":"remove","path":"/9"}]"#,
            Err("patch_failed"),
        ),
        (
            r#"{"a":[1,[2]],"b":{"c":3}}"#,
            r#"[{"op":"copy","from":"/b","path":"/a/1/0"},{"op":"remove","path":"/b"},{"op":"move","from":"/a/1","path":"/c"},
                {"op":"replace","path":"","value":7},{"op":"replace","path":"/z","value":0}]"#,
            Err("patch_failed"),
        ),
        (r#"{"a":{"b":1}}"#, r#"[{"op":"move","from":"/a","path":"/a/b/c"}]"#, Err("patch_failed")),
        ("{}", r#"[{"op":"remove","path":""}]"#, Err("patch_failed")),
        ("[1]", r#"[{"op":"remove","path":"/-"}]"#, Err("patch_failed")),
        ("{}", r#"[{"op":"copy","from":"/x","path":"/y"}]"#, Err("patch_failed")),
        (r#"{"a":1}"#, r#"[{"op":"test","path":"/a","value":"1"}]"#, Err("test_failed")),
        ("{}", r#"[{"op":"test","path":"/a","value":null}]"#, Err("test_failed")),
        ("{}", "{}", Err("invalid_body")),
        ("{}", r#"[{"op":"add","path":"/a"}]"#, Err("invalid_body")),
        ("{}", r#"[{"op":"add","path":"a","value":1}]"#, Err("invalid_body")),
        ("{}", r#"[{"op":"frobnicate","path":"/a"}]"#, Err("invalid_body")),
        ("{}", r#"[1]"#, Err("invalid_body")),
    ];
    for (initial, body, want) in table {
        assert_eq!(
            outcome(initial, "patch", body).as_deref().map_err(|e| *e),
            want,
            "{initial} {body}"
        );
    }
}

/// The examples of RFC 7386's appendix.
#[test]
fn merges() {
    let table = [
        (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
        (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
        (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
        (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
        (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
        (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
        (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
        (r#"{"a":"foo"}"#, "null", "null"),
        (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
        (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"a":1,"e":null}"#),
        ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
        ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        (r#"{"a":1}"#, r#"{"a":{"b":{"c":null,"d":1}}}"#, r#"{"a":{"b":{"d":1}}}"#),
    ];
    for (initial, body, want) in table {
        assert_eq!(outcome(initial, "merge", body).as_deref(), Ok(want), "{initial} {body}");
    }
}

fn small() -> Document {
    let bounded = DocumentConfig { max_state_bytes: 64, max_depth: 3, ..Default::default() };
    Document::new(&DocumentConfig { initial: begins(r#"{"a":"0123456789"}"#), ..bounded })
}

#[test]
fn the_state_is_bounded() {
    let fits = "x".repeat(64 - r#"{"a":"0123456789","b":""}"#.len());
    let long = "x".repeat(150);
    let swap = format!(
        r#"[{{"op":"add","path":"/b","value":"{fits}"}},{{"op":"add","path":"/c","value":"{fits}"}},{{"op":"remove","path":"/b"}}]"#
    );
    let table = [
        ("set", format!(r#"{{"path":"/b","value":"{fits}"}}"#), Ok(())),
        ("set", format!(r#"{{"path":"/b","value":"{fits}x"}}"#), Err("too_large")),
        ("set", format!(r#"{{"path":"/b{fits}","value":"x"}}"#), Err("too_large")),
        ("merge", format!(r#"{{"a":null,"b":1,"c":"{long}"}}"#), Err("too_large")),
        ("increment", format!(r#"{{"path":"/{long}","by":1}}"#), Err("too_large")),
        // Between its steps an op may exceed the limit, but not by much.
        ("patch", swap, Ok(())),
        ("patch", format!(r#"[{{"op":"add","path":"/b","value":"{long}"}},{{"op":"remove","path":"/b"}}]"#), Err("too_large")),
        ("set", r#"{"path":"/b","value":[[1]]}"#.into(), Ok(())),
        ("set", r#"{"path":"/b","value":[[[1]]]}"#.into(), Err("too_deep")),
        ("merge", r#"{"b":[[{}]]}"#.into(), Err("too_deep")),
        ("patch", r#"[{"op":"add","path":"/b","value":[[1]]},{"op":"copy","from":"/b","path":"/b/0/0"}]"#.into(), Err("too_deep")),
        (
            "patch",
            r#"[{"op":"add","path":"/b","value":[]},{"op":"add","path":"/c","value":[[]]},{"op":"move","from":"/c","path":"/b/0"}]"#.into(),
            Err("too_deep"),
        ),
    ];
    for (op, body, want) in table {
        let mut document = small();
        let outcome =
            send(&mut document, op, &body).map(drop).map_err(|rejection| rejection.reason);
        assert_eq!(outcome, want, "{op} {body}");
        assert_eq!(document.size(), document.snapshot().len());
        if want.is_err() {
            assert_eq!(document.snapshot().as_str(), r#"{"a":"0123456789"}"#);
        }
    }
}

#[test]
fn a_state_over_a_lowered_limit_can_shrink_and_replays() {
    let config = DocumentConfig { max_state_bytes: 8, ..Default::default() };
    let mut document =
        Document::restore(&config, Seq::new(4), &raw(r#"{"a":"0123456789","n":10}"#)).unwrap();
    assert_eq!(
        send(&mut document, "set", r#"{"path":"/b","value":1}"#).unwrap_err().reason,
        "too_large"
    );
    send(&mut document, "increment", r#"{"path":"/n","by":1}"#).expect("it does not grow");
    send(&mut document, "merge", r#"{"n":null}"#).expect("it shrinks");
    let body = raw(r#"{"path":"/b","value":"0123456789"}"#);
    let event = EventRecord {
        seq: Seq::new(7),
        at: 1,
        from: "a".into(),
        r#type: "set".into(),
        body,
        deleted: None,
        client: None,
        n: None,
        began: None,
        tag: None,
        result: None,
    };
    document.apply(&event).expect("what was accepted stays accepted");
    let other = EventRecord { r#type: "post".into(), ..event };
    assert_eq!(document.apply(&other).unwrap_err().seq, Seq::new(7));
}

#[test]
fn hostile_bodies_do_no_harm() {
    let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    let nested =
        (0..100_000).fold(String::new(), |all, _| all + r#"{"a":"#) + "1" + &"}".repeat(100_000);
    let digits = "9".repeat(100_000);
    for op in ["patch", "merge", "increment", "set"] {
        for body in [deep(65), deep(130), deep(100_000), nested.clone()] {
            assert_eq!(outcome("{}", op, &body), Err("too_deep"), "{op}");
        }
    }
    assert_eq!(
        outcome("{}", "merge", &deep(64)),
        Err("too_deep"),
        "a body's depth is allowed, the state's is not"
    );
    for number in
        [digits.clone(), format!("-{digits}"), format!("1e{digits}"), format!("{digits}.5")]
    {
        assert_eq!(outcome("{}", "merge", &number), Err("invalid_body"));
        assert_eq!(
            outcome("{}", "increment", &format!(r#"{{"path":"/a","by":{number}}}"#)),
            Err("invalid_body")
        );
    }
    assert_eq!(
        outcome("{}", "merge", &format!("1e-{digits}")).as_deref(),
        Ok("0.0"),
        "too small is zero"
    );
    let long_path = "/a".repeat(10_000);
    assert_eq!(
        outcome("{}", "set", &format!(r#"{{"path":"{long_path}","value":1}}"#)),
        Err("too_deep")
    );
    assert_eq!(
        outcome("{}", "increment", &format!(r#"{{"path":"{long_path}","by":1}}"#)),
        Err("patch_failed")
    );
    assert_eq!(outcome("{}", "shout", "{}"), Err("unknown_op"));
    assert_eq!(outcome("{}", "", "{}"), Err("unknown_op"));
    let mut document = document("{}");
    let message = send(&mut document, "increment", &format!(r#"{{"path":"{long_path}","by":1}}"#))
        .unwrap_err()
        .message;
    assert!(message.len() < 300, "{} bytes of message", message.len());
}

#[test]
fn a_snapshot_is_made_once() {
    let mut document = document(r#"{"a":1}"#);
    let text = |document: &Document| document.snapshot().as_str().as_ptr();
    let first = document.snapshot();
    assert_eq!(text(&document), first.as_str().as_ptr());
    send(&mut document, "increment", r#"{"path":"/zz","by":"?"}"#).unwrap_err();
    assert_eq!(text(&document), first.as_str().as_ptr(), "a refused op does not cost a snapshot");
    send(&mut document, "increment", r#"{"path":"/a","by":1}"#).unwrap();
    assert_eq!(document.snapshot().as_str(), r#"{"a":2}"#);
}

#[test]
fn settings_are_checked() {
    let problems = |initial: &str, max_depth| {
        let initial = begins(initial);
        let mut problems = Problems::default();
        let small = DocumentConfig { max_state_bytes: 64, ..Default::default() };
        DocumentConfig { initial, max_depth, ..small }.check(&mut problems);
        problems.to_string()
    };
    assert_eq!(problems("[1]", 1), "");
    assert_eq!(problems("[[]]", 1), "`initial` is nested 2 deep, over `max_depth` (1)");
    assert_eq!(problems("1", 0), "`max_depth` is 0; it must be from 1 to 100");
    assert_eq!(problems("[]", 101), "`max_depth` is 101; it must be from 1 to 100");
    let long = format!("\"{}\"", "x".repeat(63));
    assert_eq!(problems(&long, 1), "`initial` has 65 bytes of JSON, over `max_state_bytes` (64B)");
}

#[test]
fn a_document_begins_with_json_that_it_could_hold() {
    for (initial, want) in [
        ("1e999", "beyond what a double holds"),
        (r#"{"\ud800":1}"#, "surrogate"),
        (r#"{"a":1,"\u0061":1}"#, "twice"),
    ] {
        let error = Initial::new(&raw(initial)).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }
    let deep = raw(&format!("{}{}", "[".repeat(101), "]".repeat(101)));
    assert_eq!(Initial::new(&deep), Err(BadInitial::TooDeep));
    let config = DocumentConfig::default();
    let seq = Seq::new(3);
    assert_eq!(Document::restore(&config, seq, &deep).unwrap_err().seq, seq);
    assert_eq!(Document::restore(&config, seq, &raw("1e999")).unwrap_err().seq, seq);
}

#[test]
fn every_kind_of_value_is_read_from_a_configuration() {
    let text = r#"{"a":[null,true,-1,18446744073709551615,0.5,"x",{"b":{}}]}"#;
    let read: Initial = serde_json::from_str(text).unwrap();
    assert_eq!(read, begins(text));
    assert_eq!(serde_json::to_string(&read).unwrap(), text);
}
