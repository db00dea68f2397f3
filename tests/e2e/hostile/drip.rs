//! Clients that take their time: before, during and after the handshake. Each must end in a time
//! that it cannot stretch.

use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use greenroom_protocol::CodecKind;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::limits::{burst, request};
use crate::raw::{FIN, PING, Raw, frame, upgrade};
use crate::server::{Server, within};

/// Clients of a flood of slow ones.
const MANY: usize = 500;
/// Between two bytes of one of them: what makes it slow, not a wait for something to happen.
const PACE: Duration = Duration::from_millis(50);
/// What a busy machine may be late by. What is sent would drip for longer than this.
const SLACK: Duration = Duration::from_secs(8);

/// Sends `at_once`, and then byte by byte of `slowly` over and over, until the server ends the
/// connection.
///
/// Returns how long that took, and what the server has said.
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
    // A write that fails means that the server has gone: what it said last is still to be read.
    let reading = async { drop(read.read_to_end(&mut said).await) };
    let both = async {
        tokio::select! {
            () = reading => {}
            _ = async { drop(dripping.await); std::future::pending::<()>().await } => {}
        }
    };
    within("the server ends a slow connection", both).await;
    (begun.elapsed(), said)
}

/// A neighbour that goes on with its work until `others` are done.
async fn beside<T>(server: &Server, others: impl Future<Output = T>) -> T {
    let mut neighbour = server.client(CodecKind::MsgPack).await;
    neighbour.subscribe("room:neighbour").await;
    let mut others = Box::pin(others);
    let mut n = 0;
    loop {
        n += 1;
        neighbour.send("room:neighbour", n, "post", json!({})).await;
        assert_eq!(neighbour.event().await["seq"], n, "a neighbour gets its events");
        tokio::select! {
            biased;
            done = &mut others => return done,
            () = std::future::ready(()) => {}
        }
    }
}

/// Hundreds of handshakes that begin and do not end. They are gone when the time for a handshake is
/// over, counted from the accept, and meanwhile others come and go as always.
#[tokio::test]
async fn heads_that_drip_end_in_time() {
    let mut server =
        Server::builder().unlimited().with("socket.handshake_timeout = \"3s\"").start().await;
    let beginnings: [&[u8]; 4] =
        [b"", b"G", b"GET /ws HTTP/1.1\r\n", b"GET /ws HTTP/1.1\r\nHost: localhost\r\nX-Slow: "];
    let drips = join_all((0..MANY).map(async |index| {
        drip(Raw::connect(server.address).await, beginnings[index % 4], b"x").await
    }));
    let newcomers = async {
        server.until("greenroom_connections_pending", |pending| pending >= MANY as f64).await;
        // While all of them hold on, whoever behaves is let in and served.
        for codec in CodecKind::ALL {
            server.client(codec).await.send("room:newcomer", 1, "post", json!({})).await;
        }
    };
    let (ends, ()) = Box::pin(beside(&server, join(drips, newcomers))).await;
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

/// Those who say nothing at all are no better off.
#[tokio::test]
async fn who_says_nothing_ends_in_time() {
    let mut server =
        Server::builder().unlimited().with("socket.handshake_timeout = \"2s\"").start().await;
    let begun = Instant::now();
    let mut silent = join_all((0..MANY).map(|_| Raw::connect(server.address))).await;
    server.until("greenroom_connections_pending", |pending| pending >= MANY as f64).await;
    let ends = join_all(silent.iter_mut().map(Raw::rest));
    Box::pin(beside(&server, ends)).await;
    assert!(
        begun.elapsed() < Duration::from_secs(2) + SLACK,
        "they held on for {:?}",
        begun.elapsed()
    );
    server.until("greenroom_connections_pending", |pending| pending == 0.0).await;
    server.assert_serves().await;
}

/// Plain HTTP has more ways to last: a body, a second request, an answer that nobody reads. All end
/// with `http_timeout`.
#[tokio::test]
async fn plain_http_ends_in_time() {
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
    // Far more answers than the buffers of both ends hold.
    let pages = page.repeat(20_000);
    let deaf = (0..25).map(async |_| {
        let begun = Instant::now();
        let mut raw = Raw::connect_narrow(server.address).await;
        raw.write(pages.as_bytes()).await;
        (begun, raw)
    });
    let (ends, deaf) = Box::pin(beside(&server, join(join_all(drips), join_all(deaf)))).await;
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

/// A WebSocket whose `connect` never comes, or drips, or has pings in its place.
#[tokio::test]
async fn a_connect_that_does_not_come_ends() {
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
    for (close, lasted) in Box::pin(beside(&server, join_all(late))).await {
        assert_eq!(close, (4001, "connect_timeout".into()));
        assert!(lasted < Duration::from_secs(2) + SLACK, "{lasted:?}");
    }
    server.assert_serves().await;
}

/// The close frame at the end of what a server sent.
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

/// Connections before their upgrade have a bound: at it nobody is accepted until one of them is
/// over.
#[tokio::test]
async fn handshakes_at_once_are_bounded() {
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
            "a fourth is not accepted"
        );
        assert_eq!(server.sample("greenroom_connections").await, 0.0);
    }
    drop(silent.pop());
    assert_eq!(newcomer.http_head().await.status, 101);
    server.until("greenroom_connections_pending", |pending| pending == 2.0).await;
    server.assert_serves().await;
}
