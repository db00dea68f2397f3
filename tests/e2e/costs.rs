//! What each request can cost in the worst case, and who pays for it. The table in docs/security.md
//! names these tests.

use futures_util::future::join_all;
use greenroom_protocol::CodecKind;
use serde_json::{Value, json};

use crate::client::Client;
use crate::limits::{burst, request};
use crate::raw::Raw;
use crate::server::Server;

/// The bytes waiting for all clients together.
const WAITING: &str = "greenroom_outbox_bytes";
const MEMORY: &str = "process_resident_memory_bytes";

/// User names are free, so using many of them must not multiply the rate.
#[tokio::test]
async fn anonymous_users_of_an_address_share_a_rate() {
    const BURST: usize = 30;
    let server = Server::builder()
        .with(format!(
            "limits.anonymous_requests_per_second = 1\nlimits.anonymous_requests_burst = {BURST}"
        ))
        .with("auth.anonymous = true\nlimits.trusted_proxies = [\"127.0.0.0/8\"]")
        .start()
        .await;
    let pings = join_all((0..10).map(async |_| {
        let mut client = server.client(CodecKind::Json).await;
        let mut answered = 0;
        for _ in 0..10 {
            answered += usize::from(client.call("ping", json!({})).await.is_ok());
        }
        answered
    }));
    let began = std::time::Instant::now();
    let answered: usize = pings.await.into_iter().sum();
    let regained = began.elapsed().as_secs() as usize + 1;
    assert!(
        (BURST..=BURST + regained).contains(&answered),
        "{answered} of 100 pings were answered"
    );
    assert_eq!(
        server.sample("greenroom_closes_total{reason=\"rate_limited\"}").await,
        0.0,
        "being told to wait is not abuse"
    );

    let mut neighbour = Client::open_from(server.address, CodecKind::Json, "198.51.100.7").await;
    neighbour.ok("connect", json!({})).await;
    neighbour.ok("ping", json!({})).await;
}

/// Wakes entities that nobody has used yet, as many as one `connect` can name.
#[tokio::test]
async fn waking_entities_is_rate_limited() {
    let server = Server::builder()
        .with("limits.address_wakes_per_second = 1\nlimits.address_wakes_burst = 100")
        .start()
        .await;
    let mut client = server.client(CodecKind::Json).await;
    let mut waiting = 0;
    for index in 0..150 {
        if let Err(error) =
            client.call("read", json!({"entity": format!("room:new-{index}")})).await
        {
            assert_eq!(
                (&error["data"]["code"], &error["data"]["reason"]),
                (&json!("rate_limited"), &json!("waking"))
            );
            assert!(
                (1..=1001).contains(&error["data"]["retry_after_ms"].as_u64().expect("a time")),
                "{error}"
            );
            waiting += 1;
        }
    }
    assert!((40..=50).contains(&waiting), "{waiting} were refused");
    client.ok("read", json!({"entity": "room:new-0"})).await;
    assert_eq!(
        server.sample("greenroom_rate_limited_total{scope=\"waking\"}").await,
        f64::from(waiting)
    );
}

/// Clients request large rooms again and again in one write and receive nothing. They cost only
/// what one client may hold up, whatever they request, and newcomers are served.
#[tokio::test]
async fn unreceived_answers_cost_little_and_newcomers_are_served() {
    const CLIENTS: usize = 16;
    // Through another node, newcomers are refused and told when to come back.
    let mut server = Server::builder()
        .alone()
        .with("kinds.room = {behaviour = \"room\", max_state_bytes = \"4MiB\", ops_per_second = 100000}")
        .unlimited()
        .start()
        .await;
    let rooms = ["room:large-0", "room:large-1"];
    let mut author = server.client(CodecKind::MsgPack).await;
    let text = "x".repeat(32_000);
    for room in rooms {
        for n in 1..=100 {
            author.send(room, n, "post", json!({"text": text})).await;
        }
    }
    let state = author.ok("read", json!({"entity": rooms[0]})).await["state"]["messages"]
        .as_array()
        .expect("messages")
        .len();
    assert_eq!(state, 100, "the state is as large as it may be");

    let before = server.sample(MEMORY).await;
    let mut deaf = Vec::new();
    for index in 0..CLIENTS {
        let codec = CodecKind::ALL[index % 2];
        let mut raw = Raw::connect_narrow(server.address).await.upgraded(codec).await;
        let asks = [
            ("read", json!({})),
            ("history", json!({"limit": 1000})),
            ("subscribe", json!({})),
            ("presence", json!({})),
        ];
        let connect = request(1, "connect", json!({}));
        let requests = (0..64).map(|id| {
            let (method, mut params) = asks[if index < 8 { 0 } else { id % 4 }].clone();
            params["entity"] = json!(rooms[id % 2]);
            request(id as u64 + 2, method, params)
        });
        raw.write(&burst(codec, &std::iter::once(connect).chain(requests).collect::<Vec<_>>()))
            .await;
        deaf.push(raw);
    }
    server.until(WAITING, |bytes| bytes > 1e6).await;
    let mut newcomer = server.client(CodecKind::Json).await;
    let state = newcomer.ok("read", json!({"entity": rooms[1]})).await;
    let mut most = 0.0_f64;
    assert_eq!(state["state"]["messages"].as_array().map(Vec::len), Some(100));
    newcomer.subscribe(rooms[0]).await;
    // Whatever else they request, the server reads no more from them.
    for _ in 0..20 {
        newcomer.ok("ping", json!({})).await;
        most = most.max(server.sample(MEMORY).await - before);
    }
    let waiting = server.sample(WAITING).await;
    eprintln!("{waiting} bytes wait; memory grew by {most}");
    assert!(most < 150e6, "{CLIENTS} clients that receive nothing have cost {most} bytes");
    drop(deaf);
    server.until(WAITING, |bytes| bytes == 0.0).await;
    server.assert_serves().await;
}

/// The server's CPU time in seconds.
async fn cpu(server: &Server) -> f64 {
    server.sample("process_cpu_seconds_total").await
}

/// Sends the same request `times` times and returns the CPU time of one in microseconds. `each`
/// gives the parameters of each turn.
async fn cost_of(
    server: &Server,
    client: &mut Client,
    method: &str,
    times: u64,
    each: impl Fn(u64) -> Value,
) -> f64 {
    const AT_ONCE: u64 = 16;
    let before = cpu(server).await;
    for first in (0..times).step_by(AT_ONCE as usize) {
        let mut ids = Vec::new();
        for turn in first..(first + AT_ONCE).min(times) {
            ids.push(client.ask(method, each(turn)).await);
        }
        for id in ids {
            // Refused requests have a cost as well.
            let _ = client.answer(id).await;
        }
    }
    (cpu(server).await - before) * 1e6 / times as f64
}

/// The worst known input of each request, compared with an ordinary op. It may cost as many
/// ordinary ops as it pays tokens: one for the request, one for each 16 KiB of the answer, and one
/// for each share of its own bytes that the rates allow per request.
#[tokio::test]
async fn no_request_costs_much_more_than_it_pays_for() {
    // Generous, so that unoptimized builds and busy machines pass.
    const MARGIN: f64 = 12.0;
    // `bytes_per_second` and `requests_per_second` by default: 256 KiB and 100.
    const BYTES: f64 = 256.0 * 1024.0 / 100.0;
    let server = Server::builder()
        .unlimited()
        .with("kinds.room = {behaviour = \"room\", ops_per_second = 1000000, ops_burst = 1000000, ring_events = 8}")
        .with("kinds.doc = {behaviour = \"document\", ops_per_second = 1000000, ops_burst = 1000000}")
        .start()
        .await;
    let mut client = server.client(CodecKind::Json).await;
    let post = |entity: &'static str, bytes: usize| {
        let text = "x".repeat(bytes);
        move |_| json!({"entity": entity, "type": "post", "body": {"text": text}})
    };
    let ordinary = cost_of(&server, &mut client, "send", 1024, post("room:ordinary", 100)).await;
    cost_of(&server, &mut client, "send", 1000, post("room:long", 200)).await;
    cost_of(&server, &mut client, "send", 40, post("room:large", 32_000)).await;
    let epoch = client.ok("read", json!({"entity": "room:long"})).await["epoch"].clone();
    let mut crowd = Vec::new();
    for _ in 0..50 {
        let mut member = server.client(CodecKind::MsgPack).await;
        member.ok("presence", json!({"entity": "room:crowd", "action": "enter", "meta": {"about": "x".repeat(1000)}})).await;
        crowd.push(member);
    }
    let whole = |entity: &str| json!({"entity": entity});
    let from_start = json!({"entity": "room:long", "after": {"epoch": epoch, "seq": 0}});
    let meta =
        json!({"entity": "room:crowd", "action": "enter", "meta": {"about": "x".repeat(1000)}});
    let signal = json!({"entity": "room:large", "type": "cursor", "body": "x".repeat(32_000)});
    // Each with the number of repetitions, the bytes of its answer and the bytes of the request.
    let rows = [
        ("ping", 256, 0, 100, json!({})),
        ("read", 256, 1_000_000, 100, whole("room:large")),
        ("history", 128, 256_000, 100, json!({"entity": "room:long", "after": 0, "limit": 1000})),
        ("history", 128, 256_000, 100, json!({"entity": "room:large", "limit": 1000})),
        ("subscribe", 128, 300_000, 100, from_start),
        ("subscribe", 256, 1_000_000, 100, whole("room:large")),
        ("unsubscribe", 512, 0, 100, whole("room:large")),
        ("presence", 256, 55_000, 100, whole("room:crowd")),
        ("presence", 256, 0, 1100, meta),
        ("presence", 256, 0, 100, json!({"entity": "room:crowd", "action": "leave"})),
        ("signal", 256, 0, 32_100, signal),
        ("connect", 256, 0, 100, json!({})),
        ("nosuch", 256, 0, 60_000, json!({"text": "x".repeat(60_000)})),
        (
            "send",
            256,
            0,
            32_100,
            json!({"entity": "room:large", "type": "post", "body": {"text": "x".repeat(32_000)}}),
        ),
        (
            "send",
            256,
            0,
            20_000,
            json!({"entity": "doc:deep", "type": "set", "body": {"path": "/a".repeat(10_000), "value": 1}}),
        ),
    ];
    eprintln!("an ordinary op: {ordinary:.0} us");
    for (method, times, answer, own, params) in rows {
        let cost = cost_of(&server, &mut client, method, times, |_| params.clone()).await;
        let tokens = 1.0 + f64::from(answer) / 16_384.0 + f64::from(own) / BYTES;
        let shown: String = params.to_string().chars().take(60).collect();
        eprintln!("{method} {shown}: {cost:.0} us for {tokens:.0} tokens");
        // The process's CPU clock has steps of 10 ms.
        let step = 20_000.0 / times as f64;
        assert!(
            cost <= MARGIN * tokens * ordinary + step,
            "{method} {shown} costs {cost} us, an ordinary op {ordinary}"
        );
    }
}

/// One message names 256 rooms that nobody has written to, and its user becomes present in each of
/// them.
#[tokio::test]
async fn an_unwritten_entity_costs_little_memory() {
    const CLIENTS: usize = 20;
    const ROOMS: usize = 256;
    let server =
        Server::builder().unlimited().with("socket.max_message_bytes = \"64KiB\"").start().await;
    // The allocator's first pages should not count.
    server.join(CodecKind::Json, connect_to(0, ROOMS)).await;
    let before = server.sample(MEMORY).await;
    let mut clients = Vec::new();
    for client in 1..=CLIENTS {
        let (client, hello) = server.join(CodecKind::Json, connect_to(client, ROOMS)).await;
        assert_eq!(hello["presence"].as_array().map(Vec::len), Some(ROOMS));
        clients.push(client);
    }
    let each = (server.sample(MEMORY).await - before) / (CLIENTS * ROOMS) as f64;
    eprintln!("{each:.0} bytes for each room with one user present");
    assert!(each < 6000.0, "{each} bytes for each room");
}

fn connect_to(client: usize, rooms: usize) -> Value {
    let entries: Vec<_> =
        (0..rooms).map(|room| json!({"entity": format!("room:empty-{client}-{room}")})).collect();
    json!({"presence": entries})
}
