//! What a follower takes in memory, at the owner of what it follows and where it is connected.

use std::time::Duration;

use anyhow::Result;
use greenroom_protocol::Call;
use greenroom_protocol::results::Subscribed;
use tokio::time::sleep;

use super::rig::{Rig, follow};

const CONNECTIONS: usize = 500;
const ROOMS: usize = 200;
/// Requests in flight.
const AT_ONCE: usize = 20;
/// How long memory is left alone before it is looked at.
const STILL: Duration = Duration::from_secs(3);

/// Prints a row for followers at the owner, and one for those at another node.
pub async fn measure(rig: &Rig) -> Result<()> {
    println!(
        "\n| {CONNECTIONS} connections follow {ROOMS} rooms of node 1 each | at node 1, bytes each | at node 2, bytes each |"
    );
    println!("|---|--:|--:|");
    for (name, place) in [("from node 2", 1), ("from node 1", 0)] {
        let rooms = rig.rooms_of(0, ROOMS, &format!("follow-{place}")).await?;
        let mut conns = Vec::new();
        for _ in 0..CONNECTIONS {
            conns.push(rig.connect(place, Vec::new()).await?);
        }
        // One follower each first, so that the rooms are awake and known everywhere.
        for room in &rooms {
            let _: Subscribed = conns[0].ask(&Call::Subscribe(follow(room))).await?;
        }
        sleep(STILL).await;
        let before = [rig.memory(0).await?, rig.memory(1).await?];
        for conn in &mut conns[1..] {
            for some in rooms.chunks(AT_ONCE) {
                let asked = some.iter().map(|room| conn.feed(&Call::Subscribe(follow(room))));
                // Answers come in any order.
                for asked in asked.collect::<Vec<_>>() {
                    let mut others = Vec::new();
                    let _: Subscribed = conn.answer(asked, |other| others.push(other)).await?;
                    conn.put_back(others);
                }
            }
        }
        sleep(STILL).await;
        let after = [rig.memory(0).await?, rig.memory(1).await?];
        let each = |node: usize| (after[node] - before[node]) / ((CONNECTIONS - 1) * ROOMS) as f64;
        println!("| {name} | {:.0} | {:.0} |", each(0), each(1));
    }
    Ok(())
}
