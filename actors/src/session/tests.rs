use std::collections::VecDeque;

use greenroom_protocol::close::CloseCode;
use greenroom_protocol::results::{Empty, PresenceList, Rates, Subscribed};
use greenroom_protocol::{EntityId, Epoch, ErrorCode, RawJson, Seq};
use tokio::sync::mpsc;

use super::*;
use crate::behaviour::BehaviourName;
use crate::capability::{Capabilities, Permissions};
use crate::clock::{Clock, Millis, Mono};
use crate::ids::WorkerId;
use crate::kind::{Kind, Settings};
use crate::limits::Allowance;
use crate::messages::{Part, Subscriptions, ToDirectory, ToEntity, ToRelay};
use crate::metrics::SESSIONS;
use crate::metrics::recorded::Recorded;
use crate::testing::{at, encoder, entity, kind, messages, settings, shown};

mod pipelining;
mod refused;
mod resume;
mod revoking;
mod watch;

/// Tokens are `user`, `user/read` or `user@expiry`; without one a client is anonymous.
struct Tokens;

impl Authenticate for Tokens {
    fn authenticate(
        &self,
        token: Option<&str>,
        _: &str,
        now: Millis,
    ) -> Result<Identity, WireError> {
        let token = token.unwrap_or("?");
        if token == "bad" {
            return Err(WireError::new(ErrorCode::Unauthorized, "no"));
        }
        let (user, expires) = token
            .split_once('@')
            .map_or((token, None), |(user, at)| (user, Some(at.parse().unwrap())));
        if expires.is_some_and(|at| at <= now) {
            return Err(WireError::new(ErrorCode::TokenExpired, "too late"));
        }
        let (user, granted) = user.split_once('/').unwrap_or((user, "{}"));
        let capabilities: Capabilities = serde_json::from_str(granted).unwrap();
        Ok(Identity {
            user: user.into(),
            expires_at: expires,
            capabilities,
            anonymous: token == "?",
        })
    }
}

/// The address of clients.
const HERE: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn parked() -> crate::relay::ParkedLimits {
    let second = std::time::Duration::from_secs(1);
    crate::relay::ParkedLimits { window: 120 * second, grace: 15 * second, most: 10_000 }
}

fn allowance(rate: u32) -> Allowance {
    Allowance { requests: Rate::new(rate, rate), wakes: Rate::new(1000, 1000), awake: 1000 }
}

/// All accounts, which are charged at the time of most requests here.
fn accounts(rate: u32) -> Arc<Accounts> {
    let clock = Clock::manual();
    clock.set(Mono::at(2000));
    Arc::new(Accounts::alike(allowance(rate)).with_clock(clock))
}

struct Rig {
    env: Rc<SessionEnv>,
    session: Option<Session>,
    routed: mpsc::Receiver<ToDirectory>,
    answers: mpsc::Receiver<ToRelay>,
    next: i64,
}

fn bounds() -> SessionBounds {
    SessionBounds {
        announced: SessionLimits {
            max_message_bytes: 5000,
            max_body_bytes: 1000,
            max_subscriptions: 2,
            max_in_flight: 3,
            ping_interval_ms: 1000,
            rates: Rates::default(),
        },
        outbox_bytes: 100_000,
        expiry_warning_ms: 30_000,
        connect_timeout_ms: 10_000,
        requests: Rate::new(1_000_000, 1_000_000),
        bytes: Rate::new(1_000_000, 1_000_000),
        abuse_after: 3,
        abuse_window_ms: 1000,
    }
}

impl Rig {
    fn new(bounds: SessionBounds) -> Self {
        Self::with_directory(bounds, 100)
    }

    fn with_directory(bounds: SessionBounds, capacity: usize) -> Self {
        let (directory, mut queues) = Directory::channels(1, capacity);
        let (relay_handle, answers) = RelayHandle::channel(100);
        let none = Settings {
            default_permissions: Permissions::NONE,
            anonymous_permissions: Permissions::NONE,
            ..settings()
        };
        let closed = Kind::new("closed", BehaviourName::Room.with_defaults(), none).unwrap();
        let env = Rc::new(SessionEnv {
            relay: Relay::with_bounds(
                WorkerId(0),
                directory.clone(),
                encoder(),
                parked(),
                1_000_000,
            ),
            relays: Relays::new([relay_handle]),
            worker: WorkerId(0),
            instance: 7,
            directory,
            kinds: Kinds::new([kind(), closed]),
            encoder: encoder(),
            authenticate: Arc::new(Tokens),
            accounts: accounts(1_000_000),
            bounds,
            random: || 7,
            server: "test".into(),
        });
        let session = Some(Session::begin(Rc::clone(&env), CodecKind::Json, HERE, Mono::at(1000)));
        Self { env, session, routed: queues.remove(0), answers, next: 0 }
    }

    fn connected(bounds: SessionBounds) -> Self {
        let mut rig = Self::new(bounds);
        assert_eq!(rig.ask("connect", r#"{"token":"alice"}"#), ["#1"]);
        rig
    }

    fn session(&mut self) -> &mut Session {
        self.session.as_mut().unwrap()
    }

    /// Sends a request, and returns the immediate answers.
    fn ask(&mut self, method: &str, params: &str) -> Vec<String> {
        self.next += 1;
        let request = format!(
            r#"{{"jsonrpc":"2.0","id":{},"method":"{method}","params":{params}}}"#,
            self.next
        );
        self.session().receive(request.as_bytes(), at(2000));
        self.got()
    }

    /// Sends a request without an id, and returns the immediate messages.
    fn tell(&mut self, method: &str, params: &str, now: u64) -> Vec<String> {
        let request = format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#);
        self.session().receive(request.as_bytes(), at(now));
        self.got()
    }

    fn got(&mut self) -> Vec<String> {
        while let Ok(answer) = self.answers.try_recv() {
            self.env.relay.borrow_mut().receive(answer);
        }
        let mut out = VecDeque::new();
        self.session().seat().outbox.take(&mut out, 1000, usize::MAX);
        self.session().seat().outbox.written(usize::MAX);
        out.iter()
            .flat_map(|frame| messages(CodecKind::Json, frame))
            .map(|message| shown(&message))
            .collect()
    }

    fn in_flight(&mut self) -> u32 {
        self.session().seat().admission.in_flight()
    }

    fn next_second(&mut self) {
        let encoder = self.env.encoder;
        self.session().seat().next_second(&encoder);
    }

    /// A summary of the messages to entities, and the requests among them, to be answered.
    fn asked(&mut self) -> (Vec<String>, Vec<(EntityId, ToEntity)>) {
        let routed = self.routed();
        let words = |(entity, message): &(EntityId, ToEntity)| match message {
            ToEntity::Subscribe(request) => format!("{entity}: subscribe {}", request.spec.number),
            ToEntity::Unsubscribe { through, .. } => format!("{entity}: unsubscribe {through}"),
            ToEntity::Unfollow(_, Subscriptions::Through(number)) => {
                format!("{entity}: unfollow {number}")
            }
            ToEntity::Presence { action, .. } => {
                format!("{entity}: {}", format!("{action:?}").to_lowercase())
            }
            ToEntity::Leave(_) => format!("{entity}: is out"),
            ToEntity::Read(_) => format!("{entity}: read"),
            ToEntity::History(..) => format!("{entity}: history"),
            other => format!("{entity}: {other:?}"),
        };
        (routed.iter().map(words).collect(), routed)
    }

    /// Entities grant what they were asked for.
    fn granted(&mut self, asked: Vec<(EntityId, ToEntity)>) {
        for (entity, message) in asked {
            let part = match message {
                ToEntity::Subscribe(request) => {
                    let seq = Seq::ZERO;
                    let snapshot = Some(RawJson::empty_object());
                    let epoch = Epoch::from_bits(7);
                    let events = None;
                    let reason = None;
                    let presence = None;
                    let result = Subscribed {
                        entity: entity.clone(),
                        epoch: epoch.clone(),
                        seq,
                        events,
                        snapshot,
                        reason,
                        presence,
                    };
                    Part::Joined {
                        spec: request.spec,
                        epoch,
                        seq,
                        answer: request.reply.subscribed(result),
                    }
                }
                ToEntity::Presence { reply, .. } => {
                    Part::Answer(reply.present(PresenceList { count: 1, members: None }))
                }
                ToEntity::Read(reply) | ToEntity::History(_, reply) => {
                    Part::Answer(reply.ok(&Empty {}))
                }
                _ => continue,
            };
            self.env.relay.borrow_mut().receive(ToRelay::Parts { entity, parts: vec![part] });
        }
    }

    fn followers(&self, id: &str) -> usize {
        self.env.relay.borrow().followers(&entity(id)).count()
    }

    fn closing(&mut self) -> Option<CloseCode> {
        self.session().seat().outbox.closing()
    }

    fn routed(&mut self) -> Vec<(EntityId, ToEntity)> {
        let mut all = Vec::new();
        while let Ok(ToDirectory::Route(entity, message)) = self.routed.try_recv() {
            all.push((entity, message));
        }
        all
    }
}

#[test]
fn connect_comes_first() {
    let mut rig = Rig::new(bounds());
    assert_eq!(rig.ask("ping", "{}"), ["#1 not_connected"]);
    assert_eq!(rig.closing(), None);
    assert_eq!(rig.session().seat().liveness.times().0, Mono::at(11_000));
    assert_eq!(rig.ask("connect", r#"{"token":"alice@9000"}"#), ["#2"]);
    let seat = Rc::clone(rig.session().seat());
    let (connect_by, expires, _) = seat.liveness.times();
    assert_eq!((connect_by, expires), (Mono::NEVER, Some(9000)));
    assert_eq!(rig.ask("ping", "{}"), ["#3"]);
}

#[test]
fn a_refused_connect_closes() {
    for (token, error, code) in [
        ("bad", "#1 unauthorized", CloseCode::Unauthorized),
        ("alice@1500", "#1 token_expired", CloseCode::TokenExpired),
    ] {
        let mut rig = Rig::new(bounds());
        assert_eq!(rig.ask("connect", &format!(r#"{{"token":"{token}"}}"#)), [error]);
        assert_eq!(rig.closing(), Some(code));
    }
    for client in [
        "not a ulid",
        "",
        "80000000000000000000000000",
        "0000000000000000000000000",
        "0000000000000000000000000é",
    ] {
        let mut rig = Rig::new(bounds());
        assert_eq!(
            rig.ask("connect", &format!(r#"{{"client":"{client}"}}"#)),
            ["#1 invalid_params"],
            "{client}"
        );
    }
}

#[test]
fn a_socket_is_no_session_until_it_is_admitted() {
    let recorded = Recorded::default();
    metrics::with_local_recorder(&recorded, || {
        let sessions = || recorded.value(&SESSIONS);
        let mut silent = Rig::new(bounds());
        silent.ask("ping", "{}");
        let mut refused = Rig::new(bounds());
        refused.ask("connect", r#"{"token":"bad"}"#);
        assert_eq!(sessions(), 0.0, "neither has connected");
        let mut admitted = Rig::connected(bounds());
        assert_eq!(sessions(), 1.0);
        admitted.ask("connect", r#"{"token":"alice@7000"}"#);
        admitted.ask("connect", r#"{"token":"bad"}"#);
        assert_eq!(sessions(), 1.0, "it is still one");
        silent.session = None;
        refused.session = None;
        assert_eq!(sessions(), 1.0, "sockets that never were sessions end");
        admitted.session = None;
        assert_eq!(sessions(), 0.0);
    });
}

#[test]
fn a_live_session_is_refreshed_and_keeps_its_user() {
    let mut rig = Rig::connected(bounds());
    assert_eq!(rig.ask("connect", r#"{"token":"alice@7000"}"#), ["#2"]);
    let seat = Rc::clone(rig.session().seat());
    assert_eq!(seat.liveness.times(), (Mono::NEVER, Some(7000), Some(2000 + 5000 / 3)));
    for (params, error) in [
        (r#"{"token":"bob"}"#, "unauthorized"),
        (r#"{"token":"bad"}"#, "unauthorized"),
        (r#"{"token":"alice","client":"01J00000000000000000000000"}"#, "invalid_params"),
        (r#"{"token":"alice","subscriptions":[{"entity":"room:a"}]}"#, "invalid_params"),
        (r#"{"token":"alice","presence":[{"entity":"room:a"}]}"#, "invalid_params"),
    ] {
        let id = rig.next + 1;
        assert_eq!(rig.ask("connect", params), [format!("#{id} {error}")], "{params}");
        assert_eq!(rig.closing(), None, "a failed refresh changes nothing");
    }
    assert_eq!(seat.liveness.times().1, Some(7000));
}

#[test]
fn a_client_id_is_the_same_in_either_case() {
    let id = "01hf3v9qk7zxw8mnpt5rbyd2ce";
    for (first, again) in [
        (id.to_owned(), id.to_uppercase()),
        (id.to_uppercase(), id.to_owned()),
        (id.to_owned(), id.to_owned()),
    ] {
        let mut rig = Rig::new(bounds());
        assert_eq!(
            rig.ask("connect", &format!(r#"{{"token":"alice","client":"{first}"}}"#)),
            ["#1"]
        );
        assert_eq!(
            &*rig.session().seat().membership.owner().unwrap().client,
            id.to_uppercase(),
            "one spelling is kept"
        );
        assert_eq!(
            rig.ask("connect", &format!(r#"{{"token":"alice","client":"{again}"}}"#)),
            ["#2"],
            "{first} then {again}"
        );
        let other = again.replace('9', "8");
        assert_eq!(
            rig.ask("connect", &format!(r#"{{"token":"alice","client":"{other}"}}"#)),
            ["#3 invalid_params"]
        );
        assert_eq!(
            rig.ask("connect", r#"{"token":"alice","client":"not one"}"#),
            ["#4 invalid_params"]
        );
    }
}

#[test]
fn permissions_are_checked_by_method() {
    let mut rig = Rig::new(bounds());
    rig.ask("connect", r#"{"token":"alice/{\"closed:r\":[\"read\"],\"closed:g\":[\"signal\"],\"closed:s\":[\"send\"]}"}"#);
    let calls = [
        ("subscribe", "", [true, false, false]),
        ("read", "", [true, false, false]),
        ("history", "", [true, false, false]),
        ("presence", "", [true, false, false]),
        ("presence", r#","action":"enter""#, [false, false, true]),
        ("signal", r#","type":"t","body":1"#, [false, true, true]),
        ("send", r#","type":"post","body":{}"#, [false, false, true]),
    ];
    for (method, rest, allowed) in calls {
        for (id, allowed) in ["closed:r", "closed:g", "closed:s"].into_iter().zip(allowed) {
            let answer = rig.ask(method, &format!(r#"{{"entity":"{id}"{rest}}}"#));
            let routed = rig.routed();
            assert_eq!(routed.len(), usize::from(allowed), "{method} {id}: {answer:?}");
            assert_eq!(answer.is_empty(), allowed, "{method} {id}: {answer:?}");
            drop(routed);
            rig.got();
            assert_eq!(rig.in_flight(), 0, "{method} {id}");
        }
    }
}

#[test]
fn moderators_need_no_permission_to_send() {
    let mut rig = Rig::new(bounds());
    rig.ask("connect", r#"{"token":"alice/{\"closed:*\":[\"moderate\"]}"}"#);
    for (op, allowed) in
        [("edit", true), ("delete", true), ("post", false), ("react", false), ("nosuch", false)]
    {
        let answer =
            rig.ask("send", &format!(r#"{{"entity":"closed:x","type":"{op}","body":{{}}}}"#));
        let routed = rig.routed();
        assert_eq!(
            (answer.is_empty(), routed.len()),
            (allowed, usize::from(allowed)),
            "{op}: {answer:?}"
        );
        assert!(routed.iter().all(
            |(_, message)| matches!(message, ToEntity::Op(request) if request.sender.moderator)
        ));
        drop(routed);
        rig.got();
    }
    rig.ask("connect", r#"{"token":"alice"}"#);
    let id = rig.next + 1;
    let answer = rig.ask("send", r#"{"entity":"closed:x","type":"delete","body":{}}"#);
    assert_eq!(answer, [format!("#{id} forbidden")]);
}

#[test]
fn the_anonymous_have_their_own_defaults() {
    let mut rig = Rig::new(bounds());
    rig.ask("connect", "{}");
    assert_eq!(rig.ask("read", r#"{"entity":"room:a"}"#), [""; 0]);
    assert_eq!(rig.ask("send", r#"{"entity":"room:a","type":"post","body":{}}"#), ["#3 forbidden"]);
}

#[test]
fn oversized_requests_are_refused() {
    let mut rig = Rig::connected(bounds());
    let long = "x".repeat(1100);
    for (method, params, error) in [
        ("read", r#"{"entity":"nosuch:a"}"#.to_owned(), "unknown_kind"),
        ("send", format!(r#"{{"entity":"room:a","type":"post","body":"{long}"}}"#), "too_large"),
        ("signal", format!(r#"{{"entity":"room:a","type":"t","body":"{long}"}}"#), "too_large"),
        (
            "presence",
            format!(r#"{{"entity":"room:a","action":"enter","meta":{{"a":"{long}"}}}}"#),
            "too_large",
        ),
        ("presence", r#"{"entity":"room:a","action":"enter","meta":[]}"#.into(), "invalid_params"),
        ("presence", r#"{"entity":"room:a","action":"list","meta":{}}"#.into(), "invalid_params"),
        ("nosuch", "{}".into(), "method_not_found"),
    ] {
        let id = rig.next + 1;
        assert_eq!(rig.ask(method, &params), [format!("#{id} {error}")], "{method} {params}");
        assert_eq!(rig.in_flight(), 0);
    }
    assert!(rig.routed().is_empty());
}

#[test]
fn too_many_in_flight_are_refused_until_answers_arrive() {
    let mut rig = Rig::connected(bounds());
    for _ in 0..3 {
        assert_eq!(rig.ask("read", r#"{"entity":"room:a"}"#), [""; 0]);
    }
    assert_eq!(rig.ask("read", r#"{"entity":"room:a"}"#), ["#5 too_many_in_flight"]);
    assert_eq!(rig.ask("ping", "{}"), ["#6"], "a ping does not count");
    drop(rig.routed());
    assert_eq!(rig.got().len(), 3, "dropping a request answers it");
    assert_eq!(rig.in_flight(), 0);
    assert_eq!(rig.ask("read", r#"{"entity":"room:a"}"#), [""; 0]);
}

#[test]
fn a_full_directory_answers_and_nothing_stays_behind() {
    let mut rig = Rig::with_directory(bounds(), 1);
    rig.ask("connect", r#"{"token":"alice"}"#);
    rig.ask("read", r#"{"entity":"room:a"}"#);
    assert_eq!(rig.ask("read", r#"{"entity":"room:a"}"#), ["#3 overloaded directory"]);
    assert_eq!(rig.in_flight(), 1);
    drop(rig.routed());
    rig.got();
    assert_eq!(rig.in_flight(), 0);
}

#[test]
fn subscriptions_are_bounded_and_counted_once() {
    let mut roomy = bounds();
    roomy.announced.max_in_flight = 10;
    let mut rig = Rig::connected(roomy);
    for id in ["room:a", "room:b", "room:a"] {
        assert_eq!(rig.ask("subscribe", &format!(r#"{{"entity":"{id}"}}"#)), [""; 0]);
    }
    let number = |message: &ToEntity| match message {
        ToEntity::Subscribe(request) => request.spec.number,
        other => panic!("{other:?}"),
    };
    let asked = rig.routed();
    assert_eq!(asked.iter().map(|(_, message)| number(message)).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(rig.ask("subscribe", r#"{"entity":"room:c"}"#), ["#5 too_many_subscriptions"]);
    assert_eq!(
        rig.ask("unsubscribe", r#"{"entity":"room:c"}"#),
        ["#6"],
        "not being subscribed is no error"
    );
    assert_eq!(rig.ask("unsubscribe", r#"{"entity":"room:a"}"#), [""; 0]);
    assert!(matches!(rig.routed()[..], [(_, ToEntity::Unsubscribe { through: 3, .. })]));
    drop(asked);
    rig.got();
    assert_eq!(
        rig.ask("subscribe", r#"{"entity":"room:c"}"#),
        [""; 0],
        "what was refused does not count"
    );
}

#[test]
fn connect_gathers_its_subscriptions() {
    let mut rig = Rig::new(bounds());
    let subscriptions =
        r#"[{"entity":"room:a"},{"entity":"closed:x"},{"entity":"room:b"},{"entity":"room:c"}]"#;
    assert_eq!(
        rig.ask("connect", &format!(r#"{{"token":"alice","subscriptions":{subscriptions}}}"#)),
        [""; 0]
    );
    assert_eq!(rig.in_flight(), 1);
    assert_eq!(rig.ask("ping", "{}"), [""; 0], "nothing is sent before the answer");
    assert_eq!(rig.routed().len(), 2, "one is forbidden, and one too many");
    assert_eq!(rig.got(), ["#1", "#2"]);
    assert_eq!(rig.in_flight(), 0);
}

#[test]
fn requests_over_a_rate_are_refused() {
    let mut rig = Rig::connected(SessionBounds { requests: Rate::new(1, 2), ..bounds() });
    assert_eq!(rig.ask("ping", "{}"), ["#2"]);
    assert_eq!(rig.ask("ping", "{}"), ["#3 rate_limited requests"]);
    assert!(!rig.session().control(Mono::at(2000)), "a ping of the socket counts as well");

    let mut rig = Rig::connected(SessionBounds { bytes: Rate::new(1, 200), ..bounds() });
    let long = format!(r#"{{"entity":"room:a","type":"post","body":"{}"}}"#, "x".repeat(300));
    assert_eq!(rig.ask("send", &long), ["#2 too_large bytes"], "waiting does not help");
}

#[test]
fn users_share_a_limit_over_their_sessions() {
    let mut rig = Rig::new(bounds());
    let env = Rc::get_mut(&mut rig.env);
    assert!(env.is_none(), "the session shares it");
    drop(rig.session.take());
    Rc::get_mut(&mut rig.env).unwrap().accounts = accounts(1);
    rig.session = Some(Session::begin(Rc::clone(&rig.env), CodecKind::Json, HERE, Mono::at(1000)));
    rig.ask("connect", r#"{"token":"alice"}"#);
    assert_eq!(rig.ask("ping", "{}"), ["#2"]);
    assert_eq!(rig.ask("ping", "{}"), ["#3 rate_limited user"]);
}

#[test]
fn anonymous_users_share_a_limit_by_address() {
    let mut rig = Rig::new(bounds());
    drop(rig.session.take());
    Rc::get_mut(&mut rig.env).unwrap().accounts = accounts(1);
    let mut first = |params: &str, address: [u8; 4]| {
        rig.session = Some(Session::begin(
            Rc::clone(&rig.env),
            CodecKind::Json,
            address.into(),
            Mono::at(1000),
        ));
        rig.ask("connect", params);
        rig.ask("ping", "{}").remove(0)
    };
    let mine = &format!(r#"{{"client":"{}"}}"#, crate::testing::client(1000));
    assert_eq!(first("{}", [192, 0, 2, 1]), "#2");
    assert_eq!(first(mine, [192, 0, 2, 1]), "#4 rate_limited user", "another name does not help");
    assert_eq!(first(mine, [192, 0, 2, 2]), "#6");
    assert_eq!(
        first(r#"{"token":"alice"}"#, [192, 0, 2, 1]),
        "#8",
        "who has a token is not held back by them"
    );
}

#[test]
fn what_an_answer_costs_is_paid_with_the_next_requests() {
    let mut rig = Rig::connected(SessionBounds { requests: Rate::new(1, 20), ..bounds() });
    rig.ask("read", r#"{"entity":"room:a"}"#);
    for (_, message) in rig.routed() {
        let ToEntity::Read(reply) = message else { panic!("it was a read") };
        reply.charge(10);
        reply.send_ok(&greenroom_protocol::results::Empty {});
    }
    rig.got();
    // Of the burst `connect`, the read and its cost are 12.
    for id in 3..11 {
        assert_eq!(rig.ask("ping", "{}"), [format!("#{id}")]);
    }
    assert_eq!(rig.ask("ping", "{}"), ["#11 rate_limited requests"]);
}

#[test]
fn invalid_messages_are_answered_and_refusals_without_an_id_reported() {
    let mut rig = Rig::connected(bounds());
    rig.session().receive(b"{", at(2000));
    assert_eq!(rig.got(), ["None parse_error"]);
    rig.session()
        .receive(br#"{"jsonrpc":"2.0","method":"read","params":{"entity":"nosuch:a"}}"#, at(2000));
    assert_eq!(rig.got(), ["refused read nosuch:a unknown_kind x1"]);
    assert_eq!(rig.in_flight(), 0);
}

#[test]
fn its_entities_hear_of_its_end() {
    let mut rig = Rig::connected(bounds());
    rig.ask("subscribe", r#"{"entity":"room:a"}"#);
    rig.ask("presence", r#"{"entity":"room:a","action":"enter"}"#);
    rig.ask("presence", r#"{"entity":"room:b","action":"enter"}"#);
    let _unanswered = rig.routed();
    let key = rig.session().seat().key;
    rig.session().seat().membership.leave_for_good();
    drop(rig.session.take());
    let told: Vec<_> = rig
        .routed()
        .into_iter()
        .map(|(entity, message)| (entity, matches!(message, ToEntity::Gone(gone) if gone == key)))
        .collect();
    assert_eq!(told, [(entity("room:a"), true), (entity("room:b"), true)]);
    assert_eq!(rig.env.relay.borrow().counts().seats, 0);
}

#[test]
fn presence_is_bounded_and_a_refused_leave_is_not_lost() {
    let mut rig = Rig::connected(bounds());
    for id in ["room:a", "room:b"] {
        rig.ask("presence", &format!(r#"{{"entity":"{id}","action":"enter"}}"#));
    }
    drop(rig.routed());
    rig.got();
    assert_eq!(
        rig.ask("presence", r#"{"entity":"room:c","action":"enter"}"#),
        ["#4 too_many_subscriptions"]
    );
    rig.ask("presence", r#"{"entity":"room:a","action":"leave"}"#);
    assert_eq!(rig.ask("presence", r#"{"entity":"room:c","action":"enter"}"#), [""; 0]);
}

#[tokio::test]
async fn a_leave_that_finds_the_directory_full_arrives_later() {
    let mut rig = Rig::with_directory(bounds(), 1);
    rig.ask("connect", r#"{"token":"alice"}"#);
    rig.ask("read", r#"{"entity":"room:a"}"#);
    assert_eq!(
        rig.ask("presence", r#"{"entity":"room:a","action":"leave"}"#),
        ["#3 overloaded directory"]
    );
    assert!(matches!(rig.routed.recv().await, Some(ToDirectory::Route(_, ToEntity::Read(_)))));
    assert!(matches!(rig.routed.recv().await, Some(ToDirectory::Route(_, ToEntity::Leave(_)))));
}

#[test]
fn no_more_is_read_while_several_large_answers_are_made() {
    let mut rig = Rig::connected(SessionBounds {
        announced: SessionLimits { max_in_flight: 64, ..bounds().announced },
        ..bounds()
    });
    let large = [
        ("read", r#"{"entity":"room:a"}"#),
        ("history", r#"{"entity":"room:a"}"#),
        ("subscribe", r#"{"entity":"room:a"}"#),
        ("presence", r#"{"entity":"room:a"}"#),
    ];
    for (method, params) in large.iter().cycle().take(8) {
        assert!(rig.session().seat().is_read());
        rig.ask(method, params);
    }
    assert!(!rig.session().seat().is_read(), "eight are being made");
    let asked = rig.routed();
    assert_eq!(asked.len(), 8);
    // When one of them ends, in any way, another may be requested.
    drop(asked);
    rig.got();
    assert!(rig.session().seat().is_read());
    for _ in 0..20 {
        rig.ask("presence", r#"{"entity":"room:a","action":"leave"}"#);
        rig.ask("read", r#"{"entity":"closed:a"}"#);
        rig.got();
    }
    assert!(rig.session().seat().is_read(), "small and refused answers do not count");
}

#[test]
fn clients_that_take_no_answers_are_refused_first() {
    let mut rig = Rig::connected(bounds());
    let outboxes = rig.env.relay.borrow().outboxes();
    let all =
        crate::budget::Reservation::new(outboxes.budget(), 900_000, crate::budget::Standing::Clear);
    assert!(all.is_some(), "the test's limit is a million");
    rig.session().seat().outbox.push(bytes::Bytes::from_static(&[0; 4]));
    rig.session().receive(
        br#"{"jsonrpc":"2.0","id":2,"method":"read","params":{"entity":"room:a"}}"#,
        at(2000),
    );
    assert!(rig.routed().is_empty(), "frames wait for the client, and little space is left");
    rig.session().receive(
        br#"{"jsonrpc":"2.0","id":3,"method":"presence","params":{"entity":"room:a"}}"#,
        at(2000),
    );
    assert!(rig.routed().is_empty(), "a presence list may be large as well");
    let mut out = VecDeque::new();
    while let Ok(answer) = rig.answers.try_recv() {
        rig.env.relay.borrow_mut().receive(answer);
    }
    let outbox = &rig.session.as_ref().unwrap().seat().outbox;
    outbox.take(&mut out, 1000, usize::MAX);
    outbox.written(usize::MAX);
    let told: Vec<_> = out
        .iter()
        .skip(1)
        .flat_map(|frame| messages(CodecKind::Json, frame))
        .map(|message| shown(&message))
        .collect();
    assert_eq!(told, ["#2 overloaded outboxes", "#3 overloaded outboxes"]);
    rig.ask("read", r#"{"entity":"room:a"}"#);
    assert_eq!(rig.routed().len(), 1, "nothing waits for it now");
}
