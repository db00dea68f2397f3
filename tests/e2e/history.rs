//! History: pages in both directions.

use greenroom_protocol::CodecKind;
use serde_json::{Value, json};

use crate::client::Client;
use crate::server::Server;

/// The seqs of a page, and whether there are more.
async fn page(client: &mut Client, params: Value) -> (Vec<u64>, bool) {
    let page = client.ok("history", params).await;
    let seqs = page["events"]
        .as_array()
        .expect("a page has events")
        .iter()
        .map(|event| event["seq"].as_u64().expect("a seq"))
        .collect();
    (seqs, page["more"] == true)
}

async fn pages_have_no_gaps_or_overlaps(codec: CodecKind) {
    // A small ring, so that most pages come from the store.
    let server = Server::builder()
        .unlimited()
        .with("kinds.room = {behaviour = \"room\", ring_events = 8}")
        .start()
        .await;
    let mut client = server.client(codec).await;
    let room = "room:h";
    assert_eq!(page(&mut client, json!({"entity": room})).await, (vec![], false));
    let mut asked = Vec::new();
    for n in 1..=150 {
        asked.push(
            client
                .ask("send", json!({"entity": room, "n": n, "type": "post", "body": {"n": n}}))
                .await,
        );
        if asked.len() == 50 {
            for id in asked.drain(..) {
                client.answer(id).await.expect("a post is accepted");
            }
        }
    }
    assert_eq!(
        page(&mut client, json!({"entity": room})).await,
        ((51..=150).collect(), true),
        "the last 100 by default"
    );
    assert_eq!(
        page(&mut client, json!({"entity": room, "limit": 3})).await,
        (vec![148, 149, 150], true)
    );
    assert_eq!(
        page(&mut client, json!({"entity": room, "before": 5, "limit": 10})).await,
        (vec![1, 2, 3, 4], false)
    );
    assert_eq!(
        page(&mut client, json!({"entity": room, "before": 5, "limit": 3})).await,
        (vec![2, 3, 4], true)
    );
    assert_eq!(page(&mut client, json!({"entity": room, "before": 1})).await, (vec![], false));
    assert_eq!(
        page(&mut client, json!({"entity": room, "before": 1000, "limit": 2})).await,
        (vec![149, 150], true)
    );
    assert_eq!(
        page(&mut client, json!({"entity": room, "after": 0, "limit": 2})).await,
        (vec![1, 2], true)
    );
    assert_eq!(
        page(&mut client, json!({"entity": room, "after": 148, "limit": 2})).await,
        (vec![149, 150], false)
    );
    assert_eq!(page(&mut client, json!({"entity": room, "after": 150})).await, (vec![], false));
    assert_eq!(page(&mut client, json!({"entity": room, "after": 9000})).await, (vec![], false));
    let mut backwards = Vec::new();
    let mut before = 151;
    loop {
        let (mut seqs, more) =
            page(&mut client, json!({"entity": room, "before": before, "limit": 17})).await;
        before = *seqs.first().expect("a page with more before it is not empty");
        seqs.append(&mut backwards);
        backwards = seqs;
        if !more {
            break;
        }
    }
    assert_eq!(backwards, (1..=150).collect::<Vec<_>>());
    for bad in [
        json!({"limit": 0}),
        json!({"limit": 1001}),
        json!({"limit": -1}),
        json!({"before": 3, "after": 1}),
        json!({"after": "1"}),
    ] {
        let mut params = bad;
        params["entity"] = json!(room);
        client.fails("history", params, "invalid_params").await;
    }
}

/// A page of large events is cut short and says so, and the next page continues.
#[tokio::test]
async fn large_events_come_in_shorter_pages() {
    let server = Server::builder()
        .unlimited()
        .with("kinds.doc = {behaviour = \"document\", ring_events = 4}")
        .start()
        .await;
    let mut client = server.client(CodecKind::Json).await;
    let value = "x".repeat(30_000);
    for n in 1..=30 {
        client.send("doc:large", n, "set", json!({"path": "/a", "value": value})).await;
    }
    let (first, more) =
        page(&mut client, json!({"entity": "doc:large", "after": 0, "limit": 1000})).await;
    assert!(more && first.len() < 30, "{first:?}");
    let log = client.log("doc:large").await;
    assert_eq!(
        log.iter().map(|event| event["seq"].clone()).collect::<Vec<_>>(),
        (1..=30).map(|seq| json!(seq)).collect::<Vec<_>>()
    );
}

mod codecs {
    crate::over_both_codecs!(pages_have_no_gaps_or_overlaps);
}
