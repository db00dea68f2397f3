use std::future::Future;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use greenroom_actors::cluster::link::frame::MAX_FRAME;
use greenroom_actors::cluster::link::wire::{
    Messages, SUBSCRIPTION_CAPACITY, Unsent, Wire, WireState,
};
use tokio::sync::watch;

use super::metrics::{CONNECTED, DROPPED, RECONNECTS};
use super::{ConnectError, NatsMetrics, NatsWire};
use crate::config::NatsConfig;
use server::Server;

mod links;
#[path = "../../tests/support/nats.rs"]
mod server;

impl Server {
    /// The configuration to connect to it without credentials.
    fn config(&self) -> NatsConfig {
        NatsConfig { url: vec![self.url()], ..NatsConfig::default() }
    }
}

/// Nothing here takes that long unless it is broken.
const DEADLINE: Duration = Duration::from_secs(60);

async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.expect("this takes too long")
}

async fn try_connect(config: &NatsConfig) -> Result<NatsWire, ConnectError> {
    in_time(NatsWire::connect(config, "test", Duration::from_secs(30))).await
}

async fn connect(config: &NatsConfig) -> NatsWire {
    try_connect(config).await.unwrap()
}

async fn refusal(config: &NatsConfig) -> String {
    try_connect(config).await.unwrap_err().to_string()
}

/// Waits for a state.
async fn until(state: &mut watch::Receiver<WireState>, holds: impl Fn(&WireState) -> bool) {
    in_time(state.wait_for(holds)).await.unwrap();
}

async fn next(messages: &mut Messages) -> Bytes {
    in_time(messages.next()).await.expect("the subscription has ended")
}

/// Subscribes, and waits until the subscription has begun: this node's own messages arrive.
async fn subscribe(wire: &NatsWire, subject: &str) -> Messages {
    let mut messages = wire.subscribe(subject).await.unwrap();
    wire.publish(subject, Bytes::from_static(b"begun")).unwrap();
    assert_eq!(next(&mut messages).await, "begun");
    messages
}

fn text(number: usize) -> Bytes {
    number.to_string().into()
}

#[tokio::test]
async fn messages_arrive_in_order() {
    let server = Server::start("");
    let from = connect(&server.config()).await;
    let to = connect(&server.config()).await;
    assert_eq!(*to.state().borrow(), WireState { is_connected: true, reconnects: 0 });
    assert_eq!(to.server(), server.name());
    let mut messages = subscribe(&to, "s").await;
    let mut others = subscribe(&to, "t").await;
    // More than tokio lets a task do before it has to wait.
    for number in 0..200 {
        from.publish("s", text(number)).unwrap();
    }
    for number in 0..200 {
        assert_eq!(next(&mut messages).await, text(number));
    }
    from.publish("t", Bytes::from(vec![7; MAX_FRAME])).unwrap();
    assert_eq!(next(&mut others).await.len(), MAX_FRAME);
    let long = Bytes::from(vec![7; MAX_FRAME + 1]);
    assert_eq!(from.publish("t", long), Err(Unsent::Long(MAX_FRAME + 1)));
    let counters = from.counters();
    assert_eq!((counters.published, counters.unsent_long), (201, 1));
    let counters = to.counters();
    assert_eq!((counters.received, counters.read, counters.dropped), (203, 203, 0));
}

#[tokio::test]
async fn a_full_queue_is_reported() {
    let server = Server::start("");
    let wire = connect(&server.config()).await;
    // The client has no chance to write meanwhile, since this task does not wait.
    let refused = (0..300).find_map(|number| wire.publish("s", text(number)).err());
    assert_eq!(refused, Some(Unsent::Full));
    assert_eq!((wire.counters().published, wire.counters().unsent_full), (256, 1));
}

#[tokio::test]
async fn a_full_subscription_loses_messages_and_they_are_counted() {
    let server = Server::start("");
    let wire = connect(&server.config()).await;
    let mut slow = subscribe(&wire, "slow").await;
    let mut quick = subscribe(&wire, "quick").await;
    for number in 0..600 {
        wire.publish("slow", text(number)).unwrap();
        if number % 100 == 99 {
            // When this arrives, all before it have been received.
            wire.publish("quick", Bytes::new()).unwrap();
            next(&mut quick).await;
        }
    }
    let counters = wire.counters();
    assert_eq!(counters.received - counters.read, 600);
    for number in 0..SUBSCRIPTION_CAPACITY {
        assert_eq!(next(&mut slow).await, text(number));
    }
    wire.publish("slow", Bytes::from_static(b"room again")).unwrap();
    assert_eq!(next(&mut slow).await, "room again");
    let counters = wire.counters();
    assert_eq!(counters.received - counters.read, 600 - SUBSCRIPTION_CAPACITY as u64);
    assert!((1..=344).contains(&counters.dropped), "{counters:?}");
}

#[tokio::test]
async fn a_server_that_was_killed_is_found_again() {
    let mut server = Server::start("");
    let wire = connect(&server.config()).await;
    let mut state = wire.state();
    let mut messages = subscribe(&wire, "s").await;
    for reconnects in 1..=2 {
        server.kill();
        until(&mut state, |state| !state.is_connected).await;
        assert_eq!(wire.publish("s", Bytes::new()), Err(Unsent::Disconnected));
        assert_eq!(wire.subscribe("t").await.err(), Some(Unsent::Disconnected));
        server.restart();
        until(&mut state, |state| state.is_connected).await;
        assert_eq!(state.borrow().reconnects, reconnects);
        wire.publish("s", Bytes::from_static(b"again")).unwrap();
        assert_eq!(next(&mut messages).await, "again");
    }
    assert_eq!(wire.counters().unsent_disconnected, 2);
}

#[tokio::test]
async fn messages_end_with_the_wire() {
    let server = Server::start("");
    let wire = connect(&server.config()).await;
    let mut messages = subscribe(&wire, "s").await;
    drop(wire);
    assert_eq!(in_time(messages.next()).await, None);
}

#[tokio::test]
async fn a_server_that_hangs_is_noticed() {
    let server = Server::start("");
    let wire = connect(&server.config()).await;
    let mut state = wire.state();
    let mut messages = subscribe(&wire, "s").await;
    server.pause();
    until(&mut state, |state| !state.is_connected).await;
    server.resume();
    until(&mut state, |state| state.is_connected).await;
    wire.publish("s", Bytes::from_static(b"again")).unwrap();
    assert_eq!(next(&mut messages).await, "again");
}

/// A server that is about to stop closes no connection for longer than any test takes.
const SLOWLY: &str = "lame_duck_grace_period: \"5m\"\nlame_duck_duration: \"10m\"";

#[tokio::test]
async fn a_server_about_to_stop_is_not_left_if_it_is_the_only_one() {
    let server = Server::start(SLOWLY);
    let wire = connect(&server.config()).await;
    let mut messages = subscribe(&wire, "s").await;
    server.enter_lame_duck_mode();
    in_time(async {
        while wire.counters().lame_ducks == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    wire.publish("s", Bytes::from_static(b"still")).unwrap();
    assert_eq!(next(&mut messages).await, "still");
    assert_eq!(*wire.state().borrow(), WireState { is_connected: true, reconnects: 0 });
}

#[tokio::test]
async fn a_server_about_to_stop_is_left_for_another() {
    let servers: [_; 2] = Server::start_cluster(SLOWLY);
    let url = servers.iter().map(Server::url).collect();
    let wire = connect(&NatsConfig { url, ..NatsConfig::default() }).await;
    let mut state = wire.state();
    let mut messages = subscribe(&wire, "s").await;
    let is_first = wire.server() == servers[0].name();
    let [leaving, staying] = if is_first { [0, 1] } else { [1, 0] };
    servers[leaving].enter_lame_duck_mode();
    until(&mut state, |state| state.is_connected && state.reconnects == 1).await;
    assert_eq!(wire.server(), servers[staying].name());
    wire.publish("s", Bytes::from_static(b"here")).unwrap();
    assert_eq!(next(&mut messages).await, "here");
    assert_eq!(wire.counters().lame_ducks, 1);
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

#[tokio::test]
async fn wrong_credentials_are_named() {
    let server = Server::start("authorization { user: node, password: secret }");
    let right = file("secret\n");
    let wrong = file("guess\n");
    let config = |password: &tempfile::NamedTempFile| NatsConfig {
        username: Some("node".into()),
        password_file: Some(password.path().into()),
        ..server.config()
    };
    connect(&config(&right)).await;
    assert_eq!(
        refusal(&config(&wrong)).await,
        format!(
            "NATS at `{}` refused the user `node` with this password; correct `nats.username` or the file of `nats.password_file`",
            server.url()
        )
    );
    let found = refusal(&server.config()).await;
    assert!(found.contains("refused a connection without credentials"), "{found}");
}

#[tokio::test]
async fn tokens_are_checked() {
    let server = Server::start("authorization { token: secret }");
    let token = |text| {
        let file = file(text);
        (NatsConfig { token_file: Some(file.path().into()), ..server.config() }, file)
    };
    let (right, _file) = token("secret\n");
    connect(&right).await;
    let (wrong, _file) = token("guess\n");
    let found = refusal(&wrong).await;
    assert!(found.contains("refused this token"), "{found}");
}

#[tokio::test]
async fn tls_is_checked() {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/nats/tests/tls");
    let [ca, certificate, key] =
        ["ca.pem", "server.pem", "server.key"].map(|name| files.join(name));
    let encrypted = Server::start(&format!(
        "tls {{ cert_file: \"{}\", key_file: \"{}\" }}",
        certificate.display(),
        key.display()
    ));
    let plain = Server::start("");
    let with_ca = |server: &Server| NatsConfig { tls_ca: Some(ca.clone()), ..server.config() };
    let wire = connect(&with_ca(&encrypted)).await;
    let mut messages = subscribe(&wire, "s").await;
    wire.publish("s", Bytes::from_static(b"secret")).unwrap();
    assert_eq!(next(&mut messages).await, "secret");
    for config in [encrypted.config(), with_ca(&plain)] {
        let error = try_connect(&config).await.unwrap_err();
        assert!(matches!(error, ConnectError::Tls { .. }), "{error:?}");
        assert!(error.to_string().contains("`nats.tls_ca` must name"), "{error}");
    }
}

#[tokio::test]
async fn a_small_max_payload_is_refused() {
    let server = Server::start("max_payload: 65536");
    let found = refusal(&server.config()).await;
    assert!(found.contains("messages of up to 65536 bytes"), "{found}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    drop(listener);
    let config = NatsConfig { url: vec![url.clone()], ..NatsConfig::default() };
    let tried = NatsWire::connect(&config, "test", Duration::from_millis(500));
    let found = in_time(tried).await.unwrap_err().to_string();
    assert!(found.starts_with(&format!("cannot reach NATS at `{url}`: ")), "{found}");
    assert!(found.ends_with("; start the server, or correct `nats.url`"), "{found}");
    let config = NatsConfig { url: vec!["http://a".into()], ..config };
    assert!(matches!(try_connect(&config).await, Err(ConnectError::Config(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_starts_later_is_found() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config =
        NatsConfig { url: vec![format!("nats://127.0.0.1:{port}")], ..NatsConfig::default() };
    let connecting = tokio::spawn(async move { try_connect(&config).await });
    // The first attempt fails.
    drop(tokio::task::spawn_blocking(move || listener.accept().unwrap()).await.unwrap());
    let server = Server::start_on_port(port, "");
    let wire = in_time(connecting).await.unwrap().unwrap();
    assert_eq!(wire.server(), server.name());
}

#[tokio::test]
async fn the_metrics_of_nats_tell_what_was_lost() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let shown = ::metrics::with_local_recorder(&recorder, NatsMetrics::new);
    let mut server = Server::start("");
    let wire = connect(&server.config()).await;
    let mut state = wire.state();
    let mut messages = subscribe(&wire, "s").await;
    let values = |state: WireState| {
        shown.show(state, &wire.counters());
        let text = handle.render();
        let value = |id: String| {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("{id} ")));
            line.unwrap_or_else(|| panic!("no {id} in {text}")).parse::<u64>().unwrap()
        };
        let lost = ["disconnected", "full", "long", "unread"]
            .map(|why| value(format!("{}{{why=\"{why}\"}}", DROPPED.name)));
        (value(CONNECTED.name.into()), value(RECONNECTS.name.into()), lost)
    };
    let now = *state.borrow_and_update();
    assert_eq!(values(now), (1, 0, [0; 4]));
    wire.publish("s", Bytes::from_static(b"arrives")).unwrap();
    assert_eq!(next(&mut messages).await, "arrives");
    assert_eq!(values(now), (1, 0, [0; 4]));

    server.kill();
    until(&mut state, |state| !state.is_connected).await;
    let away = *state.borrow_and_update();
    assert_eq!(wire.publish("s", Bytes::new()), Err(Unsent::Disconnected));
    assert_eq!(values(away), (0, 0, [1, 0, 0, 0]));
    server.restart();
    until(&mut state, |state| state.is_connected).await;
    let back = *state.borrow_and_update();
    assert_eq!(values(back), (1, 1, [1, 0, 0, 0]));
}
