//! Clients that read slowly but steadily. A client that reads as fast as required is kept, however
//! unevenly the systems in between pass data on.

use std::time::Duration;

use futures_util::future::{join, join_all};
use greenroom_protocol::CodecKind;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, interval, timeout_at};

use crate::limits::{burst, request};
use crate::raw::Raw;
use crate::server::Server;

/// 0.53 KiB per second, the default rate, over a tenth of the default time.
const DUE: &str = "socket.write_timeout = \"3s\"\nsocket.write_min_bytes = 1638";
/// How long each client reads. The data already in its system's buffers at the start would last a
/// slow client longer than the write timeout.
const READING: Duration = Duration::from_secs(30);
/// Reads per second.
const TICKS: usize = 10;

/// Subscribes with a small receive buffer and reads `rate` bytes per second. Returns how many bytes
/// it has read by the end, and whether the server has closed the connection before.
async fn reader(server: &Server, codec: CodecKind, rate: usize) -> (usize, bool) {
    let mut raw = Raw::connect_narrow(server.address).await.upgraded(codec).await;
    let connect = request(1, "connect", json!({"subscriptions": [{"entity": "room:busy"}]}));
    raw.write(&burst(codec, &[connect])).await;
    let (mut read, _write) = raw.split();
    let end = Instant::now() + READING;
    let mut pace = interval(Duration::from_secs(1) / TICKS as u32);
    let mut buffer = vec![0; rate / TICKS];
    let mut taken = 0;
    while Instant::now() < end {
        pace.tick().await;
        match timeout_at(end, read.read(&mut buffer)).await {
            Ok(Ok(0) | Err(_)) => return (taken, true),
            Ok(Ok(bytes)) => taken += bytes,
            Err(_) => {}
        }
    }
    (taken, false)
}

async fn clients_that_read_fast_enough_are_kept(codec: CodecKind) {
    let server = Server::builder().unlimited().with(DUE).start().await;
    let readers = join_all([614, 1024, 2048, 4096].map(|rate| reader(&server, codec, rate)));
    let slower = reader(&server, codec, 256);
    let posts = async {
        let mut sender = server.client(codec).await;
        server.until("greenroom_sessions", |sessions| sessions >= 6.0).await;
        for n in 1..=100 {
            sender.send("room:busy", n, "post", json!({"text": "x".repeat(8000)})).await;
        }
    };
    let ((kept, _slower), ()) = join(join(readers, slower), posts).await;
    for (rate, (taken, ended)) in [614, 1024, 2048, 4096].into_iter().zip(kept) {
        assert!(!ended, "the reader of {rate} bytes per second was closed after {taken}");
        assert!(
            taken >= rate * 20,
            "there was not always something to read at {rate} bytes per second: {taken}"
        );
    }
    assert_eq!(
        server.sample("greenroom_closes_total{reason=\"slow_consumer\"}").await,
        1.0,
        "only the one that reads too slowly is closed"
    );
}

mod codecs {
    crate::over_both_codecs!(clients_that_read_fast_enough_are_kept);
}
