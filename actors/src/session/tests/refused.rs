//! Requests over a limit: how they are reported, and when they count against the client.

use super::*;

const SIGNAL: &str = r#"{"entity":"room:a","type":"cursor","body":{}}"#;

/// A session with a rate of a hundred requests a second that has used up its burst.
fn exhausted() -> Rig {
    let mut rig = Rig::connected(SessionBounds {
        requests: Rate::new(1, 2),
        bytes: Rate::new(u32::MAX, u32::MAX),
        abuse_window_ms: 10_000,
        ..bounds()
    });
    assert_eq!(rig.ask("ping", "{}"), ["#2"]);
    rig
}

impl Rig {
    /// Sends the client a probe, which it answers.
    fn knows(&mut self, now: u64) {
        let probe = self.session().seat().liveness.take_probe().expect("one is wanted");
        assert!(self.session().probed(probe, Mono::at(now)));
    }

    /// Pings at this time. The answer stays in the outbox.
    fn ping(&mut self, now: u64) {
        self.session().receive(br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, at(now));
    }
}

#[test]
fn a_burst_is_refused_and_forgiven() {
    let mut rig = exhausted();
    for _ in 0..1000 {
        rig.ping(2000);
    }
    assert_eq!(rig.closing(), None, "it could not know about the refusal");
    assert!(rig.got().iter().all(|got| got == "#1 rate_limited requests"));
    // Requests that were in transit arrive.
    for _ in 0..1000 {
        rig.ping(2500);
    }
    assert_eq!(rig.closing(), None);
}

#[test]
fn a_client_that_continues_although_told_to_wait_is_closed() {
    let mut rig = exhausted();
    for _ in 0..10 {
        rig.ping(2000);
    }
    rig.got();
    assert_eq!(rig.sweep(2000, 2000), ["probe 1"]);
    assert_eq!(rig.sweep(2000, 3000), [""; 0], "one is enough");
    rig.session().probed(1, Mono::at(3100));
    for _ in 0..10 {
        rig.ping(5099);
    }
    rig.got();
    // Three may be retries whose time has come.
    for _ in 0..5 {
        rig.ping(5100);
    }
    assert_eq!(rig.closing(), None);
    rig.ping(5100);
    assert_eq!(rig.closing(), Some(CloseCode::RateLimited));
}

#[test]
fn a_client_that_has_not_read_the_refusal_is_not_blamed() {
    let mut rig = exhausted();
    for _ in 0..100 {
        rig.ping(2000);
    }
    rig.got();
    assert_eq!(rig.sweep(2000, 2000), ["probe 1"]);
    // It has not answered, so it sent these before it knew.
    for _ in 0..100 {
        rig.ping(6000);
    }
    assert_eq!(rig.closing(), None);
}

/// Each answer to a probe is free once; others are not.
#[test]
fn unsolicited_pongs_are_paid_for() {
    let mut rig = exhausted();
    assert!(!rig.session().probed(1, Mono::at(2000)), "there was no probe");
    rig.ping(2000);
    rig.sweep(2000, 2000);
    assert!(rig.session().probed(1, Mono::at(2000)));
    assert!(!rig.session().probed(1, Mono::at(2000)), "it has answered that one");
    assert_eq!(rig.closing(), None);
}

#[test]
fn a_flood_of_control_frames_is_abuse_at_once() {
    let mut rig = exhausted();
    assert_eq!([(); 3].map(|()| rig.session().control(Mono::at(2000))), [false; 3]);
    assert_eq!(rig.closing(), Some(CloseCode::RateLimited));
}

#[test]
fn signals_over_the_rate_are_dropped_reported_and_never_abuse() {
    let mut rig = exhausted();
    assert_eq!(
        rig.tell("signal", SIGNAL, 2000),
        ["refused signal room:a rate_limited requests x1"]
    );
    rig.knows(2000);
    for second in 0..5 {
        // It uses the token that has been refilled for something else.
        if second > 0 {
            assert!(rig.session().control(Mono::at(2000 + second * 1000)));
        }
        for _ in 0..120 {
            assert_eq!(rig.tell("signal", SIGNAL, 2000 + second * 1000), [""; 0]);
        }
        rig.next_second();
        assert_eq!(rig.got(), ["refused signal room:a rate_limited requests x120"]);
    }
    assert_eq!(rig.closing(), None);
}

#[test]
fn signals_over_the_rate_of_bytes_count_against_their_sender() {
    let mut rig = Rig::connected(SessionBounds {
        bytes: Rate::new(1, 200),
        abuse_window_ms: 10_000,
        ..bounds()
    });
    for _ in 0..10 {
        drop(rig.tell("signal", SIGNAL, 2000));
    }
    rig.knows(2000);
    for tenth in 0..100 {
        drop(rig.tell("signal", SIGNAL, 2000 + tenth * 100));
    }
    assert_eq!(rig.closing(), Some(CloseCode::RateLimited));
}

#[test]
fn requests_without_an_id_that_find_no_room_are_reported() {
    let mut rig = Rig::connected(bounds());
    let post = r#"{"entity":"room:a","type":"post","body":{}}"#;
    for _ in 0..3 {
        assert_eq!(rig.tell("send", post, 2000), [""; 0]);
    }
    assert_eq!(rig.tell("send", post, 2000), ["refused send room:a too_many_in_flight x1"]);
    assert_eq!(rig.tell("send", post, 2000), [""; 0]);
    assert_eq!(rig.tell("send", &post.replace("room:a", "room:b"), 2000), [""; 0]);
    rig.next_second();
    assert_eq!(rig.got(), ["refused send too_many_in_flight x2"]);
    rig.next_second();
    assert_eq!(rig.got(), [""; 0], "nothing more was refused");
    // Later refusals by an entity or a queue are reported as well.
    drop(rig.routed());
    assert_eq!(rig.got(), ["refused send room:a unavailable x1"]);
    assert_eq!(rig.in_flight(), 0);
}

#[test]
fn a_hint_says_when_to_repeat_what_found_no_room() {
    let mut rig = Rig::connected(bounds());
    for _ in 0..3 {
        drop(rig.ask("read", r#"{"entity":"room:a"}"#));
    }
    rig.session().receive(
        br#"{"jsonrpc":"2.0","id":9,"method":"read","params":{"entity":"room:a"}}"#,
        at(2000),
    );
    let mut out = VecDeque::new();
    rig.session().seat().outbox.take(&mut out, 9, usize::MAX);
    let messages: Vec<_> = out.iter().flat_map(|frame| messages(CodecKind::Json, frame)).collect();
    let [greenroom_protocol::ServerMessage::Error { error, .. }] = &messages[..] else {
        panic!("{messages:?}")
    };
    assert_eq!(
        (error.data.code, error.data.retry_after_ms),
        (ErrorCode::TooManyInFlight, Some(50))
    );
}

#[test]
fn a_flood_is_read_no_further_until_the_next_second() {
    let mut rig = exhausted();
    for _ in 0..499 {
        rig.ping(2000);
    }
    assert!(rig.session().seat().is_read());
    rig.ping(2000);
    assert!(!rig.session().seat().is_read());
    rig.next_second();
    assert!(rig.session().seat().is_read());
}

#[test]
fn connect_tells_the_rates() {
    let rates = Rates { requests: Rate::new(1, 2).into(), ..Rates::default() };
    let mut rig = Rig::new(SessionBounds {
        announced: SessionLimits { rates, ..bounds().announced },
        ..bounds()
    });
    rig.session().receive(
        br#"{"jsonrpc":"2.0","id":1,"method":"connect","params":{"token":"alice"}}"#,
        at(2000),
    );
    let mut out = VecDeque::new();
    rig.session().seat().outbox.take(&mut out, 9, usize::MAX);
    let text = String::from_utf8_lossy(&out[0]).into_owned();
    assert!(text.contains(r#""rates":{"requests":{"per_second":1,"burst":2},"#), "{text}");
}
