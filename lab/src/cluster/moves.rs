//! For how long an entity does not answer when its slot moves.

use std::time::Duration;

use anyhow::Result;
use greenroom_loadtest::stats::latency::histogram;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::poster;
use super::rig::{NODES, Rig, room};

const ROOMS: usize = 30;
/// Between two moves.
const REST: Duration = Duration::from_millis(100);

/// Prints the latency of posts with and without a move.
pub async fn measure(rig: &Rig, moves: usize) -> Result<()> {
    let (stop, stopped) = watch::channel(false);
    let (mut rooms, mut posters) = (Vec::new(), Vec::new());
    for number in 0..ROOMS {
        let room = room(&format!("move-{number}"))?;
        let conn = rig.connect(number % NODES, Vec::new()).await?;
        posters.push(poster::start(conn, room.clone(), stopped.clone()));
        rooms.push((rig.owner(&room, 0).await?, room));
    }
    sleep(Duration::from_secs(1)).await;
    let mut spans = vec![Vec::new(); ROOMS];
    for number in 0..moves {
        let (owner, room) = &mut rooms[number % ROOMS];
        let to = (*owner + 1 + number / ROOMS % (NODES - 1)) % NODES;
        let began = Instant::now();
        rig.move_slot(room, *owner, to).await?;
        spans[number % ROOMS].push((began, Instant::now()));
        *owner = to;
        sleep(REST).await;
    }
    stop.send_replace(true);
    let (mut moved, mut still, mut refused) = (histogram(), histogram(), 0);
    for (poster, spans) in posters.into_iter().zip(&spans) {
        let record = poster.await??;
        refused += record.refused;
        let mut longest = vec![0; spans.len()];
        for post in &record.posts {
            let us = (post.acked - post.sent).as_micros() as u64;
            match spans.iter().position(|(began, ended)| post.sent < *ended && post.acked > *began)
            {
                Some(at) => longest[at] = us.max(longest[at]),
                None => still.record(us)?,
            }
        }
        for us in longest {
            moved.record(us)?;
        }
    }
    let ms = |of: &hdrhistogram::Histogram<u64>, percent: f64| {
        of.value_at_percentile(percent) as f64 / 1000.0
    };
    println!(
        "\n| a post, {ROOMS} clients at {NODES} nodes; {refused} refused | p50 ms | p99 ms | longest |"
    );
    println!("|---|--:|--:|--:|");
    for (name, of) in
        [("without a move", &still), ("the longest one during a move of its slot", &moved)]
    {
        println!(
            "| {name} ({}) | {:.1} | {:.1} | {:.1} |",
            of.len(),
            ms(of, 50.0),
            ms(of, 99.0),
            of.max() as f64 / 1000.0
        );
    }
    Ok(())
}
