//! The embedded store on a disk that freezes, is slow, or fails.

use super::disk::Disk;
use super::load::{FLOOD, Load, PATIENT};
use super::tracer::Tracer;
use super::until_ready;
use crate::server::Server;

/// How many bytes a process may grow by while its disk is frozen, whatever is sent to it.
const GROWTH: u64 = 32 << 20;

/// While nothing can be written, nothing is acknowledged; senders are told to wait, and memory does
/// not grow with what they send.
#[tokio::test]
async fn a_frozen_disk_holds_up_all_acknowledgements() {
    let stopped = Server::builder()
        .durable()
        .unlimited()
        .with("store.timeout = \"1m\"")
        .with("kinds.room = {behaviour = \"room\", max_pending_ops = 64, ops_per_second = 1000000, ops_burst = 1000000}")
        .prepare();
    let Some(mut disk) = Disk::mount(&stopped, "a_frozen_disk_holds_up_all_acknowledgements")
    else {
        return;
    };
    let server = stopped.start().await;
    let load = Load::start(&server, FLOOD).await;
    load.acknowledged(100).await;

    let memory = server.memory("VmRSS");
    let frozen = disk.freeze();
    until_ready(&server, false).await;
    // By now all answers from before the freeze have been read: a connection's answers arrive in
    // order, and many have arrived since.
    let before = load.tally();
    load.until("more ops sent meanwhile", |tally| tally.sent - before.sent > 2 * GROWTH).await;
    let after = load.tally();
    assert_eq!(after.acknowledged, before.acknowledged, "nothing can be on disk");
    assert!(after.refused["overloaded"] > before.refused["overloaded"], "{after:?}");
    let now = server.memory("VmRSS");
    assert!(
        now < memory + GROWTH,
        "from {} to {} MB while the disk was frozen",
        memory >> 20,
        now >> 20
    );

    drop(frozen);
    until_ready(&server, true).await;
    load.acknowledged(100).await;
    let record = load.finish().await;
    let stopped = server.kill().await;
    disk.lose_power();
    let server = stopped.start().await;
    record.settles_with(&server).await;
    server.kill().await;
}

/// A freeze that outlasts `store.timeout` leaves an op undecided. It is decided when the disk
/// resumes, after the database has been reopened.
#[tokio::test]
async fn a_freeze_beyond_the_timeout_is_decided_later() {
    let stopped =
        Server::builder().durable().unlimited().with("store.timeout = \"500ms\"").prepare();
    let Some(mut disk) = Disk::mount(&stopped, "a_freeze_beyond_the_timeout_is_decided_later")
    else {
        return;
    };
    let server = stopped.start().await;
    let load = Load::start(&server, PATIENT).await;
    load.acknowledged(100).await;

    let frozen = disk.freeze();
    server.until("greenroom_commits_total{outcome=\"unknown\"}", |unknown| unknown > 0.0).await;
    until_ready(&server, false).await;
    drop(frozen);
    until_ready(&server, true).await;
    load.acknowledged(100).await;
    let record = load.finish().await;
    let stopped = server.kill().await;
    disk.lose_power();
    let server = stopped.start().await;
    record.settles_with(&server).await;
    server.kill().await;
}

/// After a failed flush, the success of a later one proves nothing: the database is reopened before
/// anything else is acknowledged, and a power cut at any time loses nothing that was.
#[tokio::test]
async fn a_failed_flush_is_never_acknowledged() {
    let stopped = Server::builder().durable().unlimited().prepare();
    let Some(mut disk) = Disk::mount(&stopped, "a_failed_flush_is_never_acknowledged") else {
        return;
    };
    let server = stopped.start().await;
    let load = Load::start(&server, PATIENT).await;
    load.acknowledged(100).await;
    // Calls are counted per thread. This hits the thread that flushes commits, which is a new one
    // after each failure.
    let Some(fault) =
        Tracer::flushes(&server, "error=EIO:when=20+20", "a_failed_flush_is_never_acknowledged")
            .await
    else {
        return;
    };
    server.until("greenroom_commits_total{outcome=\"unknown\"}", |unknown| unknown >= 2.0).await;
    load.acknowledged(50).await;
    fault.lift().await;
    load.acknowledged(50).await;
    until_ready(&server, true).await;
    let record = load.finish().await;
    assert!(server.log().contains("giving up the connection to the store"), "{}", server.log());
    let stopped = server.kill().await;
    disk.lose_power();
    let server = stopped.start().await;
    record.settles_with(&server).await;
    server.kill().await;
}

/// If no flush succeeds any more, the server exits, so that a supervisor notices, and everything it
/// acknowledged is kept.
#[tokio::test]
async fn a_permanently_failing_disk_ends_the_server() {
    let stopped = Server::builder().durable().unlimited().with("drain.deadline = \"2s\"").prepare();
    let Some(mut disk) = Disk::mount(&stopped, "a_permanently_failing_disk_ends_the_server") else {
        return;
    };
    let server = stopped.start().await;
    let load = Load::start(&server, PATIENT).await;
    load.acknowledged(100).await;
    let Some(fault) =
        Tracer::flushes(&server, "error=EIO", "a_permanently_failing_disk_ends_the_server").await
    else {
        return;
    };
    let (status, stopped) = server.ended().await;
    assert_eq!(status.code(), Some(1), "a supervisor must notice");
    drop(fault);
    let record = load.finish().await;
    let log =
        std::fs::read_to_string(stopped.directory.path().join("log")).expect("the log is text");
    assert!(log.contains("the store cannot be used any more"), "{log}");
    disk.lose_power();
    let server = stopped.start().await;
    record.settles_with(&server).await;
    server.kill().await;
}

/// A disk that is only slow makes transactions larger, but no op is refused.
#[tokio::test]
async fn a_slow_disk_refuses_nobody() {
    let server = Server::builder().durable().unlimited().start().await;
    let load = Load::start(&server, PATIENT).await;
    let Some(fault) =
        Tracer::flushes(&server, "delay_enter=100000", "a_slow_disk_refuses_nobody").await
    else {
        return;
    };
    let commits = "greenroom_commits_total{outcome=\"ok\"}";
    let ops_before = load.tally().acknowledged;
    let commits_before = server.sample(commits).await;
    load.acknowledged(400).await;
    let ops = (load.tally().acknowledged - ops_before) as f64;
    let transactions = server.sample(commits).await - commits_before;
    assert!(ops > 5.0 * transactions, "{ops} ops took {transactions} transactions");
    until_ready(&server, true).await;
    fault.lift().await;
    let refused = load.tally().refused;
    assert!(refused.is_empty(), "{refused:?}");
    let record = load.finish().await;
    let server = server.kill().await.start().await;
    record.settles_with(&server).await;
}

/// The engine keeps recent writes in a block of up to a gibibyte, and allocates another when it
/// closes or recovers. Only the used part of them may take up memory.
#[tokio::test]
async fn closing_and_recovering_take_little_memory() {
    let server = Server::builder().durable().unlimited().start().await;
    let load = Load::start(&server, PATIENT).await;
    load.acknowledged(200).await;
    let record = load.finish().await;
    // The log is left over, so the next start opens the database, closes it, and opens it again.
    let server = server.kill().await.start().await;
    let most = server.memory("VmHWM");
    assert!(most < 400 << 20, "{} MB", most >> 20);
    record.settles_with(&server).await;
}
