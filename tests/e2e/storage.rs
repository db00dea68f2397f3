//! Storage faults, met by the real binary: a store that stalls, is slow, fails, loses answers, is
//! killed, or is not there.
//!
//! `load` writes all the while and remembers what it was told; afterwards none of that may be
//! missing, and nothing may be there twice. The faults are the system's own: a frozen file system,
//! a power cut, failing system calls, a real SurrealDB server that is stopped or killed, and a wire
//! in between that is held or cut. What the user may not do is said and skipped.

pub mod database;
mod disk;
mod embedded;
mod load;
pub mod remote;
pub mod stop;
mod tracer;
mod wire;

use crate::server::Server;

/// Waits until `/ready` says yes or no, and checks that it agrees with itself.
async fn until_ready(server: &Server, ready: bool) {
    server.until("greenroom_ready", |value| (value == 1.0) == ready).await;
    let (status, body) = server.admin_get("/ready").await;
    if !ready {
        assert_eq!(status, 503, "{body}");
        assert!(body.contains("reason"), "it says why: {body}");
    }
}
