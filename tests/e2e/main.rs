//! End-to-end tests: the real binary, spoken to by a WebSocket client that was not written here and
//! by raw sockets.
//!
//! The binary is the one that cargo built for this test, or the one that `SERVER_BIN` names. Each
//! test starts servers of its own, on ports that the system gives, with a configuration of its own.
//! Every wait is for the thing itself and has a deadline; none is a pause.

mod client;
mod raw;
mod server;
mod token;

mod admission;
mod bodies;
mod canary;
mod check;
mod close_codes;
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

/// Runs a story over both codecs, one after the other.
macro_rules! over_both_codecs {
    ($story:ident) => {
        #[tokio::test]
        async fn $story() {
            for codec in greenroom_protocol::CodecKind::ALL {
                super::$story(codec).await;
            }
        }
    };
}
pub(crate) use over_both_codecs;
