//! Clients that take their time before, during and after the handshake. Each must be closed within
//! a time that it cannot extend.

use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use greenroom_protocol::CodecKind;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::limits::{burst, request};
use crate::raw::{FIN, PING, Raw, frame, upgrade};
use crate::server::{Server, within};

/// The number of clients in a flood of slow ones.
const MANY: usize = 500;
/// The pause between two bytes from one client. This makes it slow; it does not wait for anything.
const PACE: Duration = Duration::from_millis(50);
/// How late a busy machine may be. The data would take longer than this to drip.
const SLACK: Duration = Duration::from_secs(8);

/// Sends `at_once`, then repeats `slowly` byte by byte until the server ends the connection.
///
/// Returns how long that took, and what the server sent.
async fn drip(raw: Raw, at_once: &[u8], slowly: &[u8]) -> (Duration, Vec<u8>) {
    let begun = Instant::now();
    let (mut read, mut write) = raw.split();
    let dripping = async {
        let mut pace = tokio::time::interval(PACE);
        write.write_all(at_once).await?;
        for byte in slowly.iter().cycle() {
            pace.tick().await;
            write.write_all(&[*byte]).await?;
        }
        Ok::<_, std::io::Error>(())
    };
    let mut said = Vec::new();
    // A failing write means that the server has gone; what it sent last is still to be read.
    let reading = async { drop(read.read_to_end(&mut said).await) };
    let both = async {
        tokio::select! {
            () = reading => {}
            _ = async { drop(dripping.await); std::future::pending::<()>().await } => {}
        }
    };
    within("the end of a slow connection", both).await;
    (begun.elapsed(), said)
}

/// Runs a neighbour that keeps working until `others` are done.
async fn with_neighbour<T>(server: &Server, others: impl Future<Output = T>) -> T {
    let mut neighbour = server.client(CodecKind::MsgPack).await;
    neighbour.subscribe("room:neighbour").await;
    let mut others = Box::pin(others);
    let mut n = 0;
    loop {
        n += 1;
        neighbour.send("room:neighbour", n, "post", json!({})).await;
        assert_eq!(neighbour.event().await["seq"], n, "a neighbour receives its events");
        tokio::select! {
            biased;
            done = &mut others => return done,
            () = std::future::ready(()) => {}
        }
    }
}

/// Hundreds of handshakes begin but do not end. They are closed once the handshake timeout has
/// passed since the accept, and meanwhile other clients come and go as usual.
#[tokio::test]
async fn dripping_request_heads_time_out() {
    let mut server =
        Server::builder().unlimited().with("socket.handshake_timeout = \"3s\"").start().await;
    let beginnings: [&[u8]; 4] =
        [b"", b"G", b"GET /ws HTTP/1.1\r\n", b"GET /ws HTTP/1.1\r\nHost: localhost\r\nX-Slow: "];
    let drips = join_all((0..MANY).map(async |index| {
        drip(Raw::connect(server.address).await, beginnings[index % 4], b"x").await
    }));
    let newcomers = async {
        server.until("greenroom_connections_pending", |pending| pending >= MANY as f64).await;
        // While all of them are open, well-behaved clients are admitted and served.
        for codec in CodecKind::ALL {
            server.client(codec).await.send("room:newcomer", 1, "post", json!({})).await;
        }
    };
    let (ends, ()) = Box::pin(with_neighbour(&server, join(drips, newcomers))).await;
    for (index, (lasted, said)) in ends.iter().enumerate() {
        assert!(*lasted < Duration::from_secs(3) + SLACK, "client {index} held on for {lasted:?}");
        assert!(
            said.is_empty() || said.starts_with(b"HTTP/1.1 4"),
            "{:?}",
            String::from_utf8_lossy(said)
        );
    }
    server.until("greenroom_connections_pending", |pending| pending == 0.0).await;
    server.assert_serves().await;
}

/// Clients that send nothing at all are closed as well.
#[tokio::test]
async fn silent_connections_time_out() {
    let mut server =
        Server::builder().unlimited().with("socket.handshake_timeout = \"2s\"").start().await;
    let begun = Instant::now();
    let mut silent = join_all((0..MANY).map(|_| Raw::connect(server.address))).await;
    server.until("greenroom_connections_pending", |pending| pending >= MANY as f64).await;
    let ends = join_all(silent.iter_mut().map(Raw::rest));
    Box::pin(with_neighbour(&server, ends)).await;
    assert!(
        begun.elapsed() < Duration::from_secs(2) + SLACK,
        "they held on for {:?}",
        begun.elapsed()
    );
    server.until("greenroom_connections_pending", |pending| pending == 0.0).await;
    server.assert_serves().await;
}

/// Plain HTTP offers more ways to hold a connection: a body, a second request, a response that
/// nobody reads. All of them end with `http_timeout`.
#[tokio::test]
async fn plain_http_connections_time_out() {
    let times = "socket.handshake_timeout = \"1s\"\nsocket.http_timeout = \"3s\"";
    let mut server = Server::builder().unlimited().with(times).start().await;
    let page = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let second_head = format!("{page}GET / HTTP/1.1\r\nX-Slow: ");
    let chunks =
        "GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\n";
    let table: [(&str, &[u8]); 4] = [
        ("a body", b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"),
        (
            "a body for the socket",
            b"POST /ws HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n",
        ),
        ("a body in chunks", chunks.as_bytes()),
        ("a second head", second_head.as_bytes()),
    ];
    let drips = table.iter().flat_map(|(name, at_once)| std::iter::repeat_n((name, at_once), 25));
    let drips = drips.map(async |(name, at_once)| {
        (name, drip(Raw::connect(server.address).await, at_once, b"x").await)
    });
    // Far more responses than the buffers of both ends can hold.
    let pages = page.repeat(20_000);
    let deaf = (0..25).map(async |_| {
        let begun = Instant::now();
        let mut raw = Raw::connect_narrow(server.address).await;
        raw.write(pages.as_bytes()).await;
        (begun, raw)
    });
    let (ends, deaf) =
        Box::pin(with_neighbour(&server, join(join_all(drips), join_all(deaf)))).await;
    for (name, (lasted, _)) in ends {
        assert!(lasted < Duration::from_secs(3) + SLACK, "{name} went on for {lasted:?}");
    }
    server.until("greenroom_connections_pending", |pending| pending == 0.0).await;
    for (begun, _) in &deaf {
        assert!(
            begun.elapsed() < Duration::from_secs(3) + 2 * SLACK,
            "unread answers were kept for {:?}",
            begun.elapsed()
        );
    }
    server.assert_serves().await;
}

/// WebSockets whose `connect` never arrives, or drips, or is replaced by pings.
#[tokio::test]
async fn a_missing_connect_times_out() {
    let mut server =
        Server::builder().unlimited().with("socket.connect_timeout = \"2s\"").start().await;
    let connect =
        burst(CodecKind::Json, &[request(1, "connect", json!({"version": "x".repeat(2000)}))]);
    let ping = frame(FIN | PING, b"still here");
    let late = (0..100).map(async |index| {
        let raw = Raw::connect(server.address).await.upgraded(CodecKind::Json).await;
        let begun = Instant::now();
        match index % 3 {
            0 => {
                let mut raw = raw;
                (raw.closed().await, begun.elapsed())
            }
            1 => (last_close(&drip(raw, &[], &ping).await.1), begun.elapsed()),
            _ => (last_close(&drip(raw, &[], &connect).await.1), begun.elapsed()),
        }
    });
    for (close, lasted) in Box::pin(with_neighbour(&server, join_all(late))).await {
        assert_eq!(close, (4001, "connect_timeout".into()));
        assert!(lasted < Duration::from_secs(2) + SLACK, "{lasted:?}");
    }
    server.assert_serves().await;
}

/// Parses the close frame at the end of what a server sent.
fn last_close(said: &[u8]) -> (u16, String) {
    let reason = b"connect_timeout";
    let at = said
        .len()
        .checked_sub(reason.len() + 4)
        .unwrap_or_else(|| panic!("no close frame in {said:?}"));
    assert_eq!(said[at..at + 2], [FIN | crate::raw::CLOSE, reason.len() as u8 + 2], "{said:?}");
    (
        u16::from_be_bytes([said[at + 2], said[at + 3]]),
        String::from_utf8_lossy(&said[at + 4..]).into_owned(),
    )
}

/// Connections before their upgrade are limited: at the limit no more are accepted until one of
/// them ends.
#[tokio::test]
async fn concurrent_handshakes_are_limited() {
    let limits = "workers = 1\nsocket.max_pending = 3\nsocket.handshake_timeout = \"1h\"\nsocket.http_timeout = \"1h\"";
    let mut server = Server::builder().with(limits).start().await;
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(Raw::connect(server.address).await);
    }
    server.until("greenroom_connections_pending", |pending| pending == 3.0).await;
    let mut newcomer = Raw::connect(server.address).await;
    newcomer.write(upgrade(&[]).as_bytes()).await;
    for _ in 0..20 {
        assert_eq!(
            server.sample("greenroom_connections_pending").await,
            3.0,
            "a fourth connection is not accepted"
        );
        assert_eq!(server.sample("greenroom_connections").await, 0.0);
    }
    drop(silent.pop());
    assert_eq!(newcomer.http_head().await.status, 101);
    server.until("greenroom_connections_pending", |pending| pending == 2.0).await;
    server.assert_serves().await;
}
