//! End-to-end tests: the real binary, driven by a third-party WebSocket client and by raw sockets.
//!
//! The binary is the one that cargo built for this test, or the one that `SERVER_BIN` names. Each
//! test starts its own servers, on ports assigned by the system and with its own configuration.
//! Every wait is for the thing itself, with a deadline; there are no fixed pauses.

mod client;
#[path = "../support/nats.rs"]
#[expect(dead_code, reason = "the tests of the wire use the rest")]
mod nats;
mod raw;
mod server;
mod token;

mod admission;
mod bodies;
mod canary;
mod check;
mod close_codes;
mod cluster;
mod costs;
mod dedupe;
mod document;
mod durability;
mod erasure;
mod error_codes;
mod exactly_once;
mod frames;
mod full_disk;
mod fuzz;
mod handshake;
mod history;
mod honest_bursts;
mod hostile;
mod identity;
mod irc;
mod kinds;
mod leases;
mod limits;
mod logs;
mod messages;
mod metrics;
mod operators;
mod paced_reader;
mod pipelining;
mod presence;
mod refusals;
mod resume;
mod revoking;
mod room;
mod shutdown;
mod signals;
mod slow_reader;
mod startup;
mod static_page;
mod still;
mod storage;
mod tags;

/// Runs a test with both codecs, one after the other.
macro_rules! over_both_codecs {
    ($test:ident) => {
        #[tokio::test]
        async fn $test() {
            for codec in greenroom_protocol::CodecKind::ALL {
                super::$test(codec).await;
            }
        }
    };
}
pub(crate) use over_both_codecs;
