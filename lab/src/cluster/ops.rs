//! A lone request at the owner of its entity, and through another node.

use std::time::Duration;

use anyhow::Result;
use greenroom_loadtest::stats::latency::histogram;
use greenroom_protocol::params::{Send, Target};
use greenroom_protocol::{Call, EntityId, RawJson};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::rig::Rig;

/// Each way is measured this often, in turn.
const ROUNDS: usize = 10;
/// Requests of a round.
const REQUESTS: usize = 300;
/// How long all is still before a figure of nothing is taken.
const STILL: Duration = Duration::from_secs(3);

/// Prints a row for each kind of request and way.
pub async fn measure(rig: &Rig) -> Result<()> {
    println!(
        "\n| request from a client of node 1 | p50 ms | p99 ms | node 1 µs | node 2 | node 3 | NATS | database |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|");
    let before = rig.cpu().await?;
    sleep(STILL).await;
    // What goes on without requests, in the time that one of them takes.
    let idle = rig.cpu().await?.minus(&before).each(STILL.as_millis() as usize);
    println!("| none, in 1 ms | | | {idle} |");
    let mut conn = rig.connect(0, Vec::new()).await?;
    let rooms =
        [rig.rooms_of(0, 1, "op").await?.remove(0), rig.rooms_of(1, 1, "op").await?.remove(0)];
    let body = RawJson::from_value(&json!({"text": "x".repeat(100)}))?;
    for (name, post) in [("read", false), ("post", true)] {
        let call = |room: &EntityId| {
            if post {
                let (r#type, body) = ("post".to_owned(), body.clone());
                let entity = room.clone();
                Call::Send(Send {
                    entity,
                    r#type,
                    body,
                    n: None,
                    first_sent: None,
                    if_seq: None,
                    tag: None,
                })
            } else {
                Call::Read(Target { entity: room.clone() })
            }
        };
        let ways = ["at its owner", "whose entity is at node 2"];
        let mut latencies = ways.map(|_| histogram());
        let mut costs = ways.map(|_| Vec::new());
        for _ in 0..ROUNDS {
            for (way, room) in rooms.iter().enumerate() {
                let before = rig.cpu().await?;
                for _ in 0..REQUESTS {
                    let began = Instant::now();
                    let _answer: Value = conn.ask(&call(room)).await?;
                    latencies[way].record(began.elapsed().as_micros() as u64)?;
                }
                costs[way].push((before, rig.cpu().await?));
            }
        }
        for (way, latency) in latencies.iter().enumerate() {
            let ms = |percent: f64| latency.value_at_percentile(percent) as f64 / 1000.0;
            let all = costs[way].iter().map(|(before, after)| after.minus(before));
            let cost = all.reduce(|sum, one| sum.plus(&one)).map(|sum| sum.each(ROUNDS * REQUESTS));
            let (p50, p99) = (ms(50.0), ms(99.0));
            println!(
                "| {name} {} | {p50:.2} | {p99:.2} | {} |",
                ways[way],
                cost.unwrap_or_default()
            );
        }
    }
    Ok(())
}
