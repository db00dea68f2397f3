//! An app that sends a lot at once is told to wait, and succeeds once it has waited. Only clients
//! that do not wait are closed.

use greenroom_protocol::CodecKind;
use serde_json::{Value, json};

use crate::client::Client;
use crate::server::Server;

/// Sends all requests at once, and repeats those that are refused for now after the server's
/// waiting time. Returns the refusals.
async fn retry_until_all_succeed(
    client: &mut Client,
    mut wanted: Vec<(&str, Value)>,
) -> Vec<Value> {
    let mut refusals = Vec::new();
    while !wanted.is_empty() {
        let mut asked = Vec::new();
        for (method, params) in wanted.drain(..) {
            asked.push((client.ask(method, params.clone()).await, method, params));
        }
        let mut longest = 0;
        for (id, method, params) in asked {
            let answer = client
                .try_answer(id)
                .await
                .unwrap_or_else(|close| panic!("closed with {close:?} after {refusals:?}"));
            let Err(error) = answer else { continue };
            longest = longest.max(
                error["data"]["retry_after_ms"]
                    .as_u64()
                    .unwrap_or_else(|| panic!("no retry time in {error}")),
            );
            refusals.push(error);
            wanted.push((method, params));
        }
        // This tests the time itself: that waiting so long is enough.
        tokio::time::sleep(std::time::Duration::from_millis(longest)).await;
    }
    refusals
}

fn reasons(refusals: &[Value], code: &str) -> usize {
    refusals.iter().filter(|error| error["data"]["code"] == code).count()
}

async fn three_hundred_posts_at_once(codec: CodecKind) {
    let mut server = Server::builder().start().await;
    let mut client = server.client(codec).await;
    let post = |n: u64| json!({"entity": format!("room:{n}"), "n": n, "type": "post", "body": {"text": "hi"}});
    let refusals =
        retry_until_all_succeed(&mut client, (1..=300).map(|n| ("send", post(n))).collect()).await;
    assert!(
        reasons(&refusals, "rate_limited") >= 80,
        "a burst of 200 does not hold 300: {}",
        refusals.len()
    );
    let mut observer = server.client(codec).await;
    for n in [1, 200, 201, 300] {
        assert_eq!(
            observer.ok("read", json!({"entity": format!("room:{n}")})).await["seq"],
            1,
            "each was executed once"
        );
    }
    server.assert_serves().await;
}

async fn following_and_entering_250_rooms_at_once(codec: CodecKind) {
    let server = Server::builder().start().await;
    let mut client = server.client(codec).await;
    let rooms = || (0..250).map(|n| format!("room:{n}"));
    let subscribe = rooms().map(|room| ("subscribe", json!({"entity": room})));
    let enter = rooms().map(|room| ("presence", json!({"entity": room, "action": "enter"})));
    let refusals = retry_until_all_succeed(&mut client, subscribe.chain(enter).collect()).await;
    assert!(reasons(&refusals, "rate_limited") >= 250, "{}", refusals.len());
    let mut observer = server.client(codec).await;
    assert_eq!(observer.ok("presence", json!({"entity": "room:249"})).await["count"], 1);
}

/// A request without an id is executed, or its sender is told that it was not: nothing is lost
/// silently.
async fn refused_requests_without_an_id_are_counted(codec: CodecKind) {
    let server = Server::builder().start().await;
    let (mut client, hello) =
        server.join(codec, json!({"subscriptions": [{"entity": "room:a"}]})).await;
    assert_eq!(
        hello["limits"]["rates"]["requests"],
        json!({"per_second": 100, "burst": 200}),
        "the client knows the rates"
    );
    for n in 1..=180 {
        client.tell("send", json!({"entity": "room:a", "n": n, "type": "post", "body": {}})).await;
    }
    let mut executed = 0;
    let mut refused = 0;
    while executed + refused < 180 {
        let (method, params) = client.notification().await;
        match method.as_str() {
            "event" => executed += 1,
            "refused" => {
                assert_eq!(
                    (&params["method"], &params["entity"]),
                    (&json!("send"), &json!("room:a")),
                    "{params}"
                );
                assert_eq!(params["error"]["data"]["code"], "too_many_in_flight", "{params}");
                assert!(params["error"]["data"]["retry_after_ms"].is_u64(), "{params}");
                refused += params["count"].as_u64().expect("a number");
            }
            other => panic!("`{other}` {params}"),
        }
    }
    assert_eq!(executed + refused, 180);

    client.tell("send", json!({"entity": "nosuch:a", "type": "post", "body": {}})).await;
    assert_eq!(client.expect("refused").await["error"]["data"]["code"], "unknown_kind");
    client.tell("send", json!({"entity": "room:a", "type": "dance", "body": {}})).await;
    let refusal = client.expect("refused").await;
    assert_eq!(
        (&refusal["error"]["data"]["reason"], &refusal["count"]),
        (&json!("unknown_op"), &json!(1)),
        "the entity's own refusal"
    );
}

/// Like a pointer that moves all the time: far over the rate, but never closed.
async fn signals_over_the_rate_are_dropped(codec: CodecKind) {
    let server = Server::builder().start().await;
    let mut client = server.client(codec).await;
    let mut listener = server.client(codec).await;
    listener.subscribe("room:a").await;
    const SIGNALS: u64 = 2000;
    for n in 0..SIGNALS {
        client.tell("signal", json!({"entity": "room:a", "type": "cursor", "body": n})).await;
    }
    let mut dropped = 0;
    while dropped < SIGNALS - 800 {
        let params = client.expect("refused").await;
        let code = params["error"]["data"]["code"].as_str().expect("a code");
        assert_eq!(params["method"], "signal", "{params}");
        assert!(["rate_limited", "too_many_in_flight"].contains(&code), "{params}");
        dropped += params["count"].as_u64().expect("a number");
    }
    retry_until_all_succeed(&mut client, vec![("ping", json!({}))]).await;
    assert_eq!(server.sample("greenroom_closes_total{reason=\"rate_limited\"}").await, 0.0);
    listener.expect("signal").await;
}

/// A thousand requests, each repeated at its own time, as the protocol allows.
async fn a_thousand_requests_each_retried_at_its_own_time(codec: CodecKind) {
    let server = Server::builder().start().await;
    let mut client = server.client(codec).await;
    let mut open = std::collections::BTreeSet::new();
    let mut due = std::collections::BTreeSet::new();
    for _ in 0..1000 {
        open.insert(client.ask("ping", json!({})).await);
    }
    while !open.is_empty() || !due.is_empty() {
        let next = due.first().copied();
        tokio::select! {
            biased;
            // Wait for the time that the server asked for.
            () = tokio::time::sleep_until(next.map_or_else(tokio::time::Instant::now, |(at, _)| at)), if next.is_some() => {
                due.pop_first();
                open.insert(client.ask("ping", json!({})).await);
            }
            answer = client.try_any_answer(), if !open.is_empty() => {
                let (id, answer) = answer.unwrap_or_else(|close| panic!("closed with {close:?}"));
                open.remove(&id);
                if let Err(error) = answer {
                    let wait = error["data"]["retry_after_ms"].as_u64().unwrap_or_else(|| panic!("{error}"));
                    due.insert((tokio::time::Instant::now() + std::time::Duration::from_millis(wait), id));
                }
            }
        }
    }
    assert_eq!(server.sample("greenroom_closes_total{reason=\"rate_limited\"}").await, 0.0);
}

async fn clients_that_ignore_the_wait_are_closed(codec: CodecKind) {
    let server = Server::builder()
        .with(
            "limits.requests_per_second = 10\nlimits.requests_burst = 10\nlimits.abuse_after = 20",
        )
        .start()
        .await;
    let mut client = server.client(codec).await;
    let close = loop {
        let id = client.ask("ping", json!({})).await;
        if let Err(close) = client.try_answer(id).await {
            break close;
        }
    };
    assert_eq!(close, Some((4008, "rate_limited".into())));
}

mod codecs {
    crate::over_both_codecs!(three_hundred_posts_at_once);
    crate::over_both_codecs!(following_and_entering_250_rooms_at_once);
    crate::over_both_codecs!(refused_requests_without_an_id_are_counted);
    crate::over_both_codecs!(signals_over_the_rate_are_dropped);
    crate::over_both_codecs!(a_thousand_requests_each_retried_at_its_own_time);
    crate::over_both_codecs!(clients_that_ignore_the_wait_are_closed);
}
