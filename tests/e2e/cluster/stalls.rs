//! A database that hangs.

use super::setup::{Cluster, Plan};
use super::{chat, on_the_others, until_status};
use crate::storage::database::Database;
use crate::storage::disk::Disk;

/// Waits until no node may serve anything, because no commit has been answered for a lease.
async fn all_leases_end(cluster: &Cluster) {
    for node in &cluster.nodes {
        until_status(node, "the end of its lease", |status| status["lease_ms"] == 0).await;
    }
}

#[tokio::test]
async fn nothing_moves_while_the_database_hangs() {
    let cluster = Cluster::start(&[100, 100, 100]).await;
    let (room, mut clients) = on_the_others(&cluster).await;
    let seq = chat(&room, &mut clients, 1, 1).await;
    cluster.database.signal("-STOP").await;
    all_leases_end(&cluster).await;
    cluster.database.signal("-CONT").await;
    chat(&room, &mut clients, 100, seq).await;
    cluster.assert_all_keep_their_slots().await;
}

/// The nodes read that nobody commits, and nobody can take over without a commit of its own.
#[tokio::test]
async fn nothing_moves_while_the_database_writes_nothing() {
    let mut database = Database::prepare();
    let test = "nothing_moves_while_the_database_writes_nothing";
    let Some(disk) = Disk::mount_at(database.directory(), test) else { return };
    database.run().await;
    let cluster = Plan::default().database(database).start(&[100, 100, 100]).await;
    let (room, mut clients) = on_the_others(&cluster).await;
    let seq = chat(&room, &mut clients, 1, 1).await;
    let frozen = disk.freeze();
    all_leases_end(&cluster).await;
    drop(frozen);
    chat(&room, &mut clients, 100, seq).await;
    cluster.assert_all_keep_their_slots().await;
}
