//! What nodes of a cluster show in `/metrics`.

use greenroom_protocol::CodecKind;
use serde_json::json;

use super::Cluster;

#[tokio::test]
async fn nodes_show_their_map_their_links_and_nats() {
    let mut cluster = Cluster::start(&[100, 100]).await;
    let room = cluster.room_of(1).await;
    let mut client = cluster.nodes[0].client(CodecKind::Json).await;
    let node = &cluster.nodes[0];
    let items = node.sample("greenroom_link_items_total{way=\"sent\"}").await;
    client.send(&room, 2, "post", json!({})).await;
    node.until("greenroom_link_items_total{way=\"sent\"}", |sent| sent > items).await;
    node.until("greenroom_link_rtt_seconds_count", |trips| trips > 0.0).await;
    node.until("greenroom_cluster_map_age_seconds", |age| age < 1.0).await;
    assert_eq!(node.sample("greenroom_nats_connected").await, 1.0);
    assert_eq!(node.sample("greenroom_nats_reconnects_total").await, 0.0);

    cluster.nats[0].kill();
    cluster.nodes[0].until("greenroom_nats_connected", |connected| connected == 0.0).await;
    cluster.nats[0].restart();
    let node = &cluster.nodes[0];
    node.until("greenroom_nats_connected", |connected| connected == 1.0).await;
    assert_eq!(node.sample("greenroom_nats_reconnects_total").await, 1.0);
}
