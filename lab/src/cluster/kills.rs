//! For how long the entities of a killed node do not answer.

use std::time::Duration;

use anyhow::{Context, Result};
use greenroom_loadtest::stats::latency::histogram;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::poster;
use super::rig::{NODES, Rig};

/// Rooms of the node that is killed.
const ROOMS: usize = 30;
/// How long posts go on before and after.
const BEFORE: Duration = Duration::from_secs(1);
const AFTER: Duration = Duration::from_secs(5);

/// Prints the longest time between two acknowledgements of a room.
pub async fn measure(rig: &mut Rig, kills: usize) -> Result<()> {
    let (mut pauses, mut refused) = (histogram(), 0);
    for kill in 0..kills {
        // The oldest; clients are at the others.
        let rooms = rig.rooms_of(0, ROOMS, &format!("kill-{kill}")).await?;
        let (stop, stopped) = watch::channel(false);
        let mut posters = Vec::new();
        for (number, room) in rooms.into_iter().enumerate() {
            let conn = rig.connect(1 + number % (NODES - 1), Vec::new()).await?;
            posters.push(poster::start(conn, room, stopped.clone()));
        }
        sleep(BEFORE).await;
        let killed = Instant::now();
        rig.cluster.kill(0).await;
        sleep(AFTER).await;
        stop.send_replace(true);
        for poster in posters {
            let record = poster.await??;
            refused += record.refused;
            let after = record.posts.windows(2).filter(|two| two[1].acked > killed);
            let gaps = after.map(|two| two[1].acked - two[0].acked);
            let longest = gaps.max().context("nothing was acknowledged after the kill")?;
            pauses.record(longest.as_micros() as u64)?;
        }
        rig.cluster.add(None).await?;
        rig.cluster.balanced().await?;
    }
    let ms = |percent: f64| pauses.value_at_percentile(percent) as f64 / 1000.0;
    println!(
        "\n| {kills} nodes killed, {ROOMS} rooms of each | p50 ms | p99 ms | longest | refused |"
    );
    println!("|---|--:|--:|--:|--:|");
    let longest = pauses.max() as f64 / 1000.0;
    println!(
        "| between two acknowledgements of a room | {:.0} | {:.0} | {longest:.0} | {refused} |",
        ms(50.0),
        ms(99.0)
    );
    Ok(())
}
