//! Several NATS servers, which die or are restarted one after the other.

use greenroom_protocol::CodecKind;

use super::next_events;
use super::setup::{Cluster, Plan};
use super::steady::Steady;
use crate::client::Client;
use crate::nats;

/// As docs/operations/cluster.md recommends, and as short a farewell as NATS takes.
const LINES: &str = "ping_interval: \"1s\"\nping_max: 2\nwrite_deadline: \"2s\"\n\
                     lame_duck_grace_period: \"1s\"\nlame_duck_duration: \"30s\"\n";

/// Three nodes that know three NATS servers; a client that follows a room of the third node, and one
/// that keeps sending to it through another.
async fn three_of_each() -> (Cluster, Client, Steady) {
    let servers = nats::Server::start_cluster::<3>(LINES);
    let cluster = Plan::default().nats(servers).start(&[100, 100, 100]).await;
    let room = cluster.room_of(2).await;
    let mut follower = cluster.nodes[0].client(CodecKind::Json).await;
    follower.subscribe(&room).await;
    let sender = cluster.nodes[1].client(CodecKind::Json).await;
    (cluster, follower, Steady::start(sender, &room))
}

/// How often the nodes have logged this.
fn logged(cluster: &Cluster, text: &str) -> usize {
    cluster.nodes.iter().map(|node| node.log().matches(text).count()).sum()
}

#[tokio::test]
async fn each_of_three_nats_servers_may_die() {
    let (mut cluster, mut follower, steady) = three_of_each().await;
    for server in 0..3 {
        steady.goes_on(5).await;
        cluster.nats[server].kill();
        steady.goes_on(20).await;
        cluster.nats[server].restart();
    }
    let (_, sent) = steady.stop().await;
    next_events(&mut follower, 1, sent).await;
    assert!(logged(&cluster, "lost the connection to NATS") >= 3, "each node was hit");
    cluster.assert_all_keep_their_slots().await;
}

#[tokio::test]
async fn nats_servers_may_be_restarted_one_after_the_other() {
    let (mut cluster, mut follower, steady) = three_of_each().await;
    for server in 0..3 {
        steady.goes_on(5).await;
        cluster.nats[server].enter_lame_duck_mode();
        steady.goes_on(20).await;
        cluster.nats[server].kill();
        cluster.nats[server].restart();
    }
    let (_, sent) = steady.stop().await;
    next_events(&mut follower, 1, sent).await;
    assert!(logged(&cluster, "the NATS server is about to stop") >= 3, "each node was told");
    cluster.assert_all_keep_their_slots().await;
}
