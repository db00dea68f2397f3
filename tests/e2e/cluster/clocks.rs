//! Nodes whose clocks are wrong, by libfaketime.

use std::path::PathBuf;

use greenroom_protocol::CodecKind;
use serde_json::json;
use tempfile::TempDir;

use super::setup::{Plan, member};
use super::{Cluster, next_events, until_status};
use crate::server::within;

/// Debian's, which `.ci/deps test` installs.
fn library() -> String {
    let arch = std::env::consts::ARCH;
    let path = format!("/usr/lib/{arch}-linux-gnu/faketime/libfaketimeMT.so.1");
    assert!(PathBuf::from(&path).exists(), "`{path}` is missing; `.ci/deps test` installs it");
    path
}

/// What makes libfaketime's clocks.
fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    std::iter::once(("LD_PRELOAD".to_owned(), library())).chain(pairs.iter().map(own)).collect()
}

/// A wall clock that can be set.
struct WallClock(TempDir);

impl WallClock {
    fn set(&self, seconds: i32) {
        let new = self.0.path().join("new");
        std::fs::write(&new, format!("{seconds:+}\n"))
            .and_then(|()| std::fs::rename(&new, self.file()))
            .expect("a temporary directory can be written to");
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("clock")
    }
}

/// What libfaketime leaves of a process that is killed, removed when this is dropped.
struct Remains(u32);

impl Drop for Remains {
    fn drop(&mut self) {
        for name in ["faketime_shm_", "sem.faketime_sem_"] {
            // It is not there where the library tidied up.
            let _ = std::fs::remove_file(format!("/dev/shm/{name}{}", self.0));
        }
    }
}

/// A cluster whose third node has these clocks.
async fn with_clocks(environment: Vec<(String, String)>) -> (Remains, Cluster) {
    let cluster = Plan::default().last_has(environment).start(&[100, 100, 100]).await;
    (Remains(cluster.nodes[2].pid()), cluster)
}

/// Ten minutes ahead and behind: leases hold, nothing fails, and the times of an entity's events do
/// not go back, also when it comes to a node whose clock is right.
#[tokio::test]
async fn wall_clocks_do_not_matter() {
    let clock = WallClock(tempfile::tempdir().expect("a temporary directory can be created"));
    clock.set(0);
    let file = clock.file().display().to_string();
    let (_remains, cluster) = with_clocks(environment(&[
        ("FAKETIME_TIMESTAMP_FILE", &file),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
    ]))
    .await;
    let room = cluster.room_of(2).await;
    let mut client = cluster.nodes[0].client(CodecKind::Json).await;
    client.subscribe(&room).await;
    let (mut times, mut n) = (Vec::new(), 0);
    for seconds in [600, -600, 0] {
        clock.set(seconds);
        // Long enough for others to notice if it committed nothing.
        beats(&cluster, 6).await;
        n += 1;
        client.send(&room, n, "post", json!({})).await;
        times.push(client.event().await["at"].as_u64().expect("an event has a time"));
    }
    cluster.assert_all_keep_their_slots().await;
    let mut cluster = cluster;
    cluster.nodes.pop().unwrap().kill().await;
    super::send_at_last(&mut client, &room, 50).await;
    times.push(client.event().await["at"].as_u64().expect("an event has a time"));
    assert!(times.is_sorted(), "{times:?}");
    let wall = std::time::UNIX_EPOCH.elapsed().expect("it is later than 1970").as_millis();
    assert!(u128::from(times[0]) > wall + 500_000, "the clock was set, or this proves nothing");
}

/// A node stops reading a tenth of a lease before others may take over, so 3 % do not matter.
#[tokio::test]
async fn a_node_whose_clocks_run_fast_is_a_node() {
    let (_remains, cluster) = with_clocks(environment(&[("FAKETIME", "+0 x1.03")])).await;
    let rooms = [cluster.room_of(0).await, cluster.room_of(2).await];
    let mut clients = Vec::new();
    for node in [2, 0] {
        let mut client = cluster.nodes[node].client(CodecKind::Json).await;
        client.subscribe(&rooms[clients.len()]).await;
        clients.push(client);
    }
    for n in 1..=3 {
        beats(&cluster, 6).await;
        for (client, room) in clients.iter_mut().zip(&rooms) {
            client.send(room, n, "post", json!({})).await;
            next_events(client, n, 1).await;
            client.read(room).await;
        }
    }
    cluster.assert_all_keep_their_slots().await;
}

/// Waits until the others have seen this many transactions of the third node.
async fn beats(cluster: &Cluster, count: u64) {
    let number = |status: &serde_json::Value| member(status, "node-2")["lease"]["number"].as_u64();
    let before = number(&super::status(&cluster.nodes[0]).await).expect("it is a member");
    let seen = until_status(&cluster.nodes[0], "transactions", |status| {
        number(status) >= Some(before + count)
    });
    within("transactions", seen).await;
}
