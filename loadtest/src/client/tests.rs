use greenroom_protocol::CodecKind;
use greenroom_protocol::results::Pong;

use super::*;
use crate::fake::{Fake, Fault};

async fn open(url: &str) -> Result<Conn, Failure> {
    let target = Target::new(url, CodecKind::Json, Tokens::Anonymous).await;
    Conn::open(&target.expect("the URL is good"), "ann".into(), Vec::new())
        .await
        .map(|(conn, _)| conn)
}

#[tokio::test]
async fn failures_have_names() {
    let server = Fake::start(Fault::ClosePresence).await;
    let mut conn = open(&server.url()).await.expect("it opens");
    let entity = "room:a".parse().expect("it is an entity id");
    let action = greenroom_protocol::params::PresenceAction::List;
    let list = greenroom_protocol::params::Presence { entity, action, meta: None };
    let failure = conn.ask::<Pong>(&Call::Presence(list)).await.expect_err("the fake closes");
    assert!(matches!(failure.code().as_str(), "broken" | "closed"), "{failure}");

    let free = crate::server::free_address().expect("there is a free port");
    let failure = open(&format!("ws://{free}/ws")).await.err().expect("nobody listens");
    assert_eq!(failure.code(), "tcp_connection_refused");
}
