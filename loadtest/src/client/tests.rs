use greenroom_protocol::params::{Ping, PresenceAction, Subscribe};
use greenroom_protocol::results::Pong;
use greenroom_protocol::{Call, CodecKind, params};

use super::*;
use crate::fake::{Fake, Fault};

fn subscribe(entity: &str) -> Subscribe {
    crate::run::subscribe(&entity.parse().expect("it is an entity id"))
}

#[tokio::test]
async fn a_connection_says_hello_asks_and_leaves_in_both_codecs() {
    let server = Fake::start(Fault::None).await;
    for codec in CodecKind::ALL {
        let target =
            Target::new(&server.url(), codec, Tokens::Anonymous).await.expect("the URL is good");
        let (mut conn, subscribed) =
            Conn::open(&target, "ann".into(), vec![subscribe("room:a"), subscribe("room:b")])
                .await
                .expect("it opens");
        assert_eq!(
            subscribed.iter().map(|s| s.entity.as_str()).collect::<Vec<_>>(),
            ["room:a", "room:b"]
        );
        assert_eq!(conn.hello.limits.max_in_flight, 64);
        let pong: Pong = conn.ask(&Call::Ping(Ping {})).await.expect("it answers");
        assert_eq!(pong.now, 1);
        conn.close().await.expect("the server closes its side");
    }
}

#[tokio::test]
async fn failures_have_names() {
    let server = Fake::start(Fault::ClosePresence).await;
    let target = Target::new(&server.url(), CodecKind::Json, Tokens::Anonymous)
        .await
        .expect("the URL is good");
    let (mut conn, _) = Conn::open(&target, "ann".into(), Vec::new()).await.expect("it opens");
    let presence = params::Presence {
        entity: subscribe("room:a").entity,
        action: PresenceAction::List,
        meta: None,
    };
    let failure = conn.ask::<Pong>(&Call::Presence(presence)).await.expect_err("the fake closes");
    assert!(matches!(failure.code().as_str(), "broken" | "closed"), "{failure}");

    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("a free port")
        .local_addr()
        .expect("it is bound");
    let nobody = Target::new(&format!("ws://{free}/ws"), CodecKind::Json, Tokens::Anonymous)
        .await
        .expect("the URL is good");
    let failure =
        Conn::open(&nobody, "ann".into(), Vec::new()).await.err().expect("nobody listens");
    assert_eq!(failure.code(), "tcp_connection_refused");
}
