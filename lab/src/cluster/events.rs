//! What an event costs, by where its followers are.

use std::time::Duration;

use anyhow::{Context, Result};
use greenroom_loadtest::client::Conn;
use greenroom_protocol::params::Signal;
use greenroom_protocol::{Call, EntityId, RawJson};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, timeout};

use super::rig::{Rig, follow};

/// Rooms, all of one node.
const ROOMS: usize = 20;
/// Signals a second to all of them, and followers of a room at a node that has any.
const LOADS: [(usize, usize); 2] = [(1000, 20), (10_000, 2)];
/// Signals go out in pieces, this often.
const EVERY: Duration = Duration::from_millis(1);
/// For so long.
const SPAN: Duration = Duration::from_secs(8);
/// How long followers may take to get the last one.
const LAST_WITHIN: Duration = Duration::from_secs(10);

/// Prints a table for each load, and in it a row for each place of the followers.
pub async fn measure(rig: &Rig) -> Result<()> {
    for (rate, followers) in LOADS {
        load(rig, rate, followers).await?;
    }
    Ok(())
}

async fn load(rig: &Rig, rate: usize, each: usize) -> Result<()> {
    println!(
        "\n| {rate} signals of 100 bytes a second to {ROOMS} rooms of node 1; {each} followers of each | signals | node 1 µs | node 2 | node 3 | NATS | database | not delivered |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|");
    let rooms = rig.rooms_of(0, ROOMS, "event").await?;
    let cases: [(&str, &[usize]); 4] = [
        ("none", &[]),
        ("at node 1", &[0]),
        ("at node 2", &[1]),
        ("at node 2, and as many at node 3", &[1, 2]),
    ];
    for (name, places) in cases {
        let mut followers = JoinSet::new();
        for place in places {
            for room in &rooms {
                for _ in 0..each {
                    let conn = rig.connect(*place, vec![follow(room)]).await?;
                    followers.spawn(hear(conn));
                }
            }
        }
        let mut sender = rig.connect(0, Vec::new()).await?;
        let before = rig.cpu().await?;
        let sent = send(&mut sender, &rooms, rate).await?;
        let used = rig.cpu().await?.minus(&before);
        // The last signal tells them to go.
        for room in &rooms {
            sender.tell(&signal(room, "end")?);
        }
        sender.flush().await?;
        let count = followers.len();
        let all = async {
            let mut heard = 0;
            while let Some(one) = followers.join_next().await {
                heard += one??;
            }
            anyhow::Ok(heard)
        };
        let heard = timeout(LAST_WITHIN, all).await.context("the last signals did not come")??;
        let missing = sent / ROOMS * count - heard;
        println!("| {name} | {sent} | {} | {missing} |", used.each(sent));
    }
    Ok(())
}

fn signal(room: &EntityId, text: &str) -> Result<Call> {
    let (entity, body) = (room.clone(), RawJson::from_value(text)?);
    Ok(Call::Signal(Signal { entity, r#type: "x".into(), body, key: None }))
}

/// Sends to all rooms at the rate, and returns how many went out.
async fn send(conn: &mut Conn, rooms: &[EntityId], rate: usize) -> Result<usize> {
    let text = "x".repeat(100);
    let calls = rooms.iter().map(|room| signal(room, &text)).collect::<Result<Vec<_>>>()?;
    let mut ticks = interval(EVERY);
    let piece = rate / (Duration::from_secs(1).div_duration_f64(EVERY) as usize);
    let began = Instant::now();
    let mut sent = 0;
    while began.elapsed() < SPAN || sent % rooms.len() > 0 {
        ticks.tick().await;
        for _ in 0..piece {
            conn.tell(&calls[sent % rooms.len()]);
            sent += 1;
        }
        conn.flush().await?;
    }
    // What is on the way belongs to it.
    sleep(Duration::from_millis(200)).await;
    Ok(sent)
}

/// Counts signals until the last one.
async fn hear(mut conn: Conn) -> Result<usize> {
    let mut heard = 0;
    loop {
        let message = conn.next().await?;
        if message.windows(5).any(|part| part == b"\"end\"") {
            return Ok(heard);
        }
        heard += usize::from(message.windows(8).any(|part| part == b"\"signal\""));
    }
}
