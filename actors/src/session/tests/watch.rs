//! The timeouts of a connection, and their clocks.

use bytes::Bytes;
use greenroom_protocol::ServerMessage;

use super::*;
use crate::clock::Now;
use crate::session::Deadlines;

/// A frame without a message.
const PING: &[u8] = &[0; 4];

/// A ping; that of a probe has its number instead.
fn ping(probe: Option<u32>) -> Bytes {
    probe.map_or(Bytes::from_static(PING), |number| Bytes::from(format!("probe {number}")))
}
const DEADLINES: Deadlines = Deadlines {
    ping_interval: 25_000,
    idle_timeout: 60_000,
    write_timeout: 30_000,
    write_min_bytes: 16_384,
};
const HOUR: u64 = 3_600_000;

impl Rig {
    /// A sweep. Returns the messages for the client.
    pub(super) fn sweep(&mut self, wall: u64, mono: u64) -> Vec<String> {
        self.env.sweep(Now { wall, mono: Mono::at(mono) }, DEADLINES, ping);
        let mut out = VecDeque::new();
        self.session().seat().outbox.take(&mut out, 1000, usize::MAX);
        self.session().seat().outbox.written(out.iter().map(Bytes::len).sum());
        let said = |frame: &Bytes| match messages(CodecKind::Json, &frame[..]).pop() {
            Some(ServerMessage::Notification { params, .. }) => params.as_str().to_owned(),
            other => format!("{other:?}"),
        };
        let shown = |frame: &Bytes| match &frame[..] {
            PING => "ping".into(),
            probe if probe.starts_with(b"probe") => String::from_utf8_lossy(probe).into_owned(),
            _ => said(frame),
        };
        out.iter().map(shown).collect()
    }

    /// The pump has taken this number of bytes, and the socket takes none of them.
    fn is_writing(&mut self, bytes: usize) {
        let outbox = &self.session().seat().outbox;
        outbox.push(vec![0; bytes].into());
        outbox.take(&mut VecDeque::new(), 1, usize::MAX);
    }

    /// One sweep per second, from after `from` through `to` by the monotonic clock. The wall clock
    /// is `ahead` of it.
    fn seconds(&mut self, from: u64, to: u64, ahead: u64) -> Vec<String> {
        (from + 1..=to)
            .flat_map(|second| self.sweep(ahead + second * 1000, second * 1000))
            .collect()
    }
}

/// A client with a token that expires in ten hours; the wall clock shows one hour.
fn connected() -> Rig {
    let mut rig = Rig::new(bounds());
    let connect = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"connect","params":{{"token":"alice@{}"}}}}"#,
        10 * HOUR
    );
    rig.session().receive(connect.as_bytes(), Now { wall: HOUR, mono: Mono::at(2000) });
    assert_eq!(rig.got(), ["#1"]);
    rig
}

#[test]
fn setting_the_clock_forward_closes_no_connection() {
    let mut rig = connected();
    assert_eq!(rig.seconds(2, 20, HOUR), [""; 0]);
    assert_eq!(rig.seconds(20, 40, 2 * HOUR), ["ping"], "at its time");
    assert_eq!(rig.closing(), None);
    let mut new = Rig::new(bounds());
    assert_eq!(new.seconds(1, 10, 2 * HOUR), [""; 0]);
    assert_eq!(new.closing(), None, "it has time to connect");
}

#[test]
fn a_clock_that_is_set_back_stops_nothing() {
    let mut rig = connected();
    assert_eq!(rig.seconds(2, 61, 0), ["ping", "ping"]);
    assert_eq!(rig.closing(), None);
    rig.seconds(61, 62, 0);
    assert_eq!(rig.closing(), Some(CloseCode::PingTimeout));
    let mut new = Rig::new(bounds());
    new.seconds(1, 11, 0);
    assert_eq!(new.closing(), Some(CloseCode::ConnectTimeout));
}

#[test]
fn a_token_ends_by_the_clock_on_the_wall() {
    let mut rig = connected();
    rig.sweep(10 * HOUR - 1, 3000);
    assert_eq!(rig.closing(), None);
    rig.sweep(10 * HOUR, 3000);
    assert_eq!(rig.closing(), Some(CloseCode::TokenExpired));
}

#[test]
fn a_socket_that_takes_nothing_has_its_time_by_the_clock_that_goes_on() {
    let mut rig = connected();
    rig.is_writing(1);
    assert_eq!(rig.seconds(2, 30, 2 * HOUR), ["ping"]);
    assert_eq!(rig.seconds(30, 32, 0), [""; 0]);
    assert_eq!(rig.closing(), None);
    rig.seconds(32, 33, 0);
    assert_eq!(rig.closing(), Some(CloseCode::SlowConsumer));
}

/// A socket that takes nothing, whose peer has acknowledged nothing for this time.
struct Unanswered(u64);

impl crate::outbox::Sink for Unanswered {
    fn try_write(&self, _: &[std::io::IoSlice<'_>]) -> Option<usize> {
        None
    }

    fn unanswered_ms(&self) -> u64 {
        self.0
    }
}

/// Bytes that the socket took earlier give a slow reader more time, but not a peer that has
/// disappeared.
#[test]
fn a_peer_that_acknowledges_nothing_is_closed_whatever_it_took_before() {
    for (unanswered, waiting, closing) in [
        (29_999, 1, None),
        (30_000, 1, Some(CloseCode::SlowConsumer)),
        (30_000, 0, None),
        (0, 1, None),
    ] {
        let mut rig = connected();
        let seat = Rc::clone(rig.session().seat());
        seat.outbox.attach(Some(Rc::new(Unanswered(unanswered))));
        rig.is_writing(waiting);
        seat.liveness.took(10_000_000);
        rig.seconds(2, 3, 0);
        assert_eq!(rig.closing(), closing, "{unanswered} ms, {waiting} bytes wait");
    }
}

/// Pongs wait among a client's other messages while nothing is read because large answers are being
/// made.
#[test]
fn a_client_whose_requests_are_not_read_does_not_time_out() {
    let mut rig = connected();
    let seat = Rc::clone(rig.session().seat());
    for _ in 0..64 {
        seat.outbox.making();
    }
    rig.seconds(2, 300, 0);
    assert_eq!(rig.closing(), None);
    for _ in 0..64 {
        seat.outbox.made();
    }
    rig.seconds(300, 361, 0);
    assert_eq!(rig.closing(), Some(CloseCode::PingTimeout));
}

/// The messages of each second's sweep for a client that connects at time 0 with a token of this
/// lifetime.
fn warned(lifetime: u64, refresh: &str) -> Vec<(u64, String)> {
    let mut rig = Rig::new(bounds());
    let connect = |rig: &mut Rig, token: &str, second: u64| {
        let connect = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"connect","params":{{"token":"{token}"}}}}"#
        );
        rig.session().receive(connect.as_bytes(), at(second * 1000));
        assert_eq!(rig.got(), ["#1"]);
    };
    connect(&mut rig, &format!("alice@{}", lifetime * 1000), 0);
    let mut said = Vec::new();
    for second in 1..lifetime {
        for message in
            rig.sweep(second * 1000, second * 1000).into_iter().filter(|message| message != "ping")
        {
            said.push((second, message));
            connect(&mut rig, refresh, second);
        }
        assert!(rig.session().control(Mono::at(second * 1000)));
    }
    said
}

fn expiring(closes_in_ms: u64) -> String {
    format!(r#"{{"reason":"token_expiring","closes_in_ms":{closes_in_ms}}}"#)
}

#[test]
fn a_token_is_warned_of_once() {
    assert_eq!(
        warned(100, "alice@100000"),
        [(70, expiring(30_000))],
        "the function that gives tokens gave the same one again"
    );
    assert_eq!(warned(100, "alice@1000000"), [(70, expiring(30_000))], "the next one lasts longer");
    assert_eq!(warned(100, "alice"), [(70, expiring(30_000))]);
}

#[test]
fn a_short_token_is_warned_of_after_a_third_of_its_time() {
    assert_eq!(warned(24, "alice@24000"), [(8, expiring(16_000))]);
    // Each new one is another token.
    assert_eq!(warned(24, "alice@23000"), [(8, expiring(16_000)), (13, expiring(10_000))]);
}

#[test]
fn an_id_from_the_future_is_taken() {
    let mut rig = Rig::new(bounds());
    assert_eq!(
        rig.ask("connect", r#"{"token":"alice","client":"7ZZZZZZZZZZZZZZZZZZZZZZZZZ"}"#),
        ["#1"]
    );
    assert_eq!(rig.closing(), None);
}

/// A client with a lot to read, whose system takes this number of bytes now and at each interval.
/// Returns the second in which it is closed.
fn reads(bytes: usize, every: u64) -> Option<u64> {
    let mut rig = connected();
    rig.is_writing(1_000_000);
    (1u64..2000).find(|second| {
        if *second == 1 || second % every == 0 {
            rig.session().seat().liveness.took(bytes);
        }
        rig.sweep(HOUR, 2000 + second * 1000);
        rig.session().control(Mono::at(2000 + second * 1000));
        rig.closing() == Some(CloseCode::SlowConsumer)
    })
}

#[test]
fn a_client_that_reads_slowly_in_large_steps_is_kept() {
    const KIB: usize = 1024;
    for (bytes, every) in
        [(KIB, 1), (16 * KIB, 26), (32 * KIB, 53), (64 * KIB, 107), (80 * KIB, 140)]
    {
        assert_eq!(reads(bytes, every), None, "{bytes} bytes each {every} s");
    }
    assert_eq!(reads(KIB / 4, 1), Some(31), "too slow");
    assert_eq!(reads(0, 1), Some(31));
    assert_eq!(reads(10_000 * KIB, 1500), Some(151), "it had enough time");
}

#[test]
fn much_at_once_buys_some_time_and_no_more() {
    let mut rig = connected();
    rig.is_writing(1);
    rig.session().seat().liveness.took(10_000_000);
    rig.seconds(2, 3 + 149, HOUR);
    assert_eq!(rig.closing(), None);
    rig.seconds(3 + 149, 3 + 150, HOUR);
    assert_eq!(rig.closing(), Some(CloseCode::SlowConsumer));
}

/// A client whose system takes everything for some seconds, this number of bytes in each, and then
/// nothing. Returns the number of seconds until it is closed.
fn stops_after(bytes: usize) -> Option<u64> {
    let mut rig = connected();
    for second in 3..20 {
        rig.session().seat().liveness.took(bytes);
        rig.sweep(HOUR, second * 1000);
    }
    rig.is_writing(1);
    (1u64..1000).find(|later| {
        rig.sweep(HOUR, (19 + later) * 1000);
        rig.closing() == Some(CloseCode::SlowConsumer)
    })
}

#[test]
fn of_what_was_taken_at_once_the_last_second_counts() {
    assert_eq!(
        stops_after(8 * 1024),
        Some(31),
        "a client that kept up is gone as soon as any other"
    );
    assert_eq!(stops_after(16 * 1024), Some(60), "its system may buffer that much");
    assert_eq!(stops_after(1024 * 1024), Some(150));
}

#[test]
fn a_client_that_has_caught_up_has_time_to_answer_a_ping() {
    let mut rig = connected();
    rig.is_writing(1);
    let pings = rig.seconds(2, 32, HOUR).len();
    assert_eq!(pings, 1, "it is pinged while it reads");
    rig.session().seat().liveness.took(32 * 1024);
    assert_eq!(rig.seconds(32, 70, HOUR), ["ping"]);
    assert_eq!(rig.closing(), None, "it reads");
    // Its system has everything now, and the client still has to read what the system took at once.
    rig.session().seat().outbox.written(1);
    rig.seconds(70, 70 + 59, HOUR);
    assert_eq!(rig.closing(), None);
    rig.seconds(70 + 59, 70 + 150, HOUR);
    assert_eq!(rig.closing(), Some(CloseCode::PingTimeout));
}
