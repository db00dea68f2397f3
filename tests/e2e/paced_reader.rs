//! Clients that read slowly and steadily. Who takes what is promised is kept, whatever steps the
//! systems in between take.

use std::time::Duration;

use futures_util::future::{join, join_all};
use greenroom_protocol::CodecKind;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, interval, timeout_at};

use crate::limits::{burst, request};
use crate::raw::Raw;
use crate::server::Server;

/// 0.53 KiB a second, as with the defaults, in a tenth of the time.
const DUE: &str = "socket.write_timeout = \"3s\"\nsocket.write_min_bytes = 1638";
/// How long each reads. What its system holds when it begins would last a slow one for longer than
/// a write timeout.
const READING: Duration = Duration::from_secs(30);
/// Reads in a second.
const TICKS: usize = 10;

/// Subscribes, with little room for what it does not read, and reads so many bytes a second.
/// Returns how many it has read when the time is over or the server has ended the connection, and
/// whether that was so.
async fn reader(server: &Server, codec: CodecKind, rate: usize) -> (usize, bool) {
    let mut raw = Raw::connect_narrow(server.address).await.upgraded(codec).await;
    let connect = request(1, "connect", json!({"subscriptions": [{"entity": "room:busy"}]}));
    raw.write(&burst(codec, &[connect])).await;
    let (mut read, _write) = raw.split();
    let (end, mut pace, mut buffer, mut taken) = (
        Instant::now() + READING,
        interval(Duration::from_secs(1) / TICKS as u32),
        vec![0; rate / TICKS],
        0,
    );
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

async fn who_reads_enough_is_kept(codec: CodecKind) {
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
        assert!(!ended, "who reads {rate} bytes a second was closed after {taken}");
        assert!(
            taken >= rate * 20,
            "there was always something to read at {rate} a second: {taken}"
        );
    }
    assert_eq!(
        server.sample("greenroom_closes_total{reason=\"slow_consumer\"}").await,
        1.0,
        "only the one that reads too slowly"
    );
}

mod codecs {
    crate::over_both_codecs!(who_reads_enough_is_kept);
}
