//! Storage faults as the real binary meets them: a store that hangs, is slow, fails, loses answers,
//! is killed, or is not running.
//!
//! `load` keeps writing and records the answers; afterwards no acknowledged op may be missing, and
//! none may exist twice. The faults are real: a frozen file system, a power cut, failing system
//! calls, a real SurrealDB server that is stopped or killed, and a connection in between that is
//! held or cut. What this user may not do is reported and skipped.

pub mod database;
pub mod disk;
mod embedded;
mod load;
pub mod remote;
pub mod stop;
mod tracer;
pub mod wire;

use crate::server::Server;

/// Waits until the node is ready, or not ready, and checks that `/ready` agrees with the metric.
async fn until_ready(server: &Server, ready: bool) {
    server.until("greenroom_ready", |value| (value == 1.0) == ready).await;
    let (status, body) = server.admin_get("/ready").await;
    if !ready {
        assert_eq!(status, 503, "{body}");
        assert!(body.contains("reason"), "it gives the reason: {body}");
    }
}
