//! The store against a SurrealDB server.

use super::server::Server;
use super::*;
use crate::config::Secret;

#[tokio::test]
async fn a_server_meets_the_contract() {
    let server = Server::start("memory");
    let store = SurrealStore::open(&server.config()).await.unwrap();
    conformance::run(&store).await;
}

#[tokio::test]
async fn a_server_meets_the_contract_of_the_cluster() {
    let server = Server::start("memory");
    let store = SurrealStore::open(&server.config()).await.unwrap();
    let open = |node: NodeId| -> Box<dyn Store> {
        Box::new(store.another().with_lease(LeaseKey::Node { id: node.0, lane: 0 }))
    };
    cluster::conformance::run(&store.registry(), &open).await;
}

#[tokio::test]
async fn a_killed_server_is_reconnected_to() {
    let directory = tempfile::tempdir().unwrap();
    let mut server =
        Server::start(format!("surrealkv://{}", directory.path().join("db").display()));
    // The client queues calls while it reconnects, so only the timeout shows that the server is
    // gone.
    let config = StoreConfig { timeout: Duration::from_secs(2), ..server.config() };
    let store = SurrealStore::open(&config).await.unwrap();
    let mut writer = Writer::acquire(&store).await;
    writer.write(vec![row("a", 1..=3)]).await;

    server.kill();
    let error = store.load(&entity("a")).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    let lost = writer.batch(vec![row("a", 4..=4)]);
    let error = store.commit(&lost).await.unwrap_err();
    assert!(matches!(error, CommitError::Failed(_) | CommitError::Unknown(_)), "{error:?}");

    server.restart();
    assert_eq!(seqs(&store, "a", Page::After { after: Seq::ZERO, limit: 10 }).await, [1, 2, 3]);
    assert_eq!(store.settle(lost.fence).await.unwrap(), Settled::NotCommitted);
    writer.write(vec![row("a", 4..=5)]).await;
    assert_eq!(
        seqs(&store, "a", Page::After { after: Seq::ZERO, limit: 10 }).await,
        [1, 2, 3, 4, 5]
    );
}

#[tokio::test]
async fn calls_time_out_as_configured() {
    // It accepts connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", silent.local_addr().unwrap());
    let config = StoreConfig { timeout: Duration::from_millis(100), ..config(url) };
    let error = SurrealStore::open(&config).await.err().unwrap();
    assert!(error.to_string().ends_with("no answer within 100ms"), "{error}");
}

#[tokio::test]
async fn credentials_are_checked_and_explained() {
    let server = Server::start("memory");
    let wrong = StoreConfig { password: Some(Secret::new("guess")), ..server.config() };
    let text = SurrealStore::open(&wrong).await.err().unwrap().to_string();
    assert!(text.contains("rejects user `root`") && !text.contains("guess"), "{text}");

    let nobody = StoreConfig { username: None, password: None, ..server.config() };
    let text = SurrealStore::open(&nobody).await.err().unwrap().to_string();
    assert!(text.contains("set `store.username` and `store.password_file`"), "{text}");

    assert_eq!(
        check(&server.config(), &Kinds::default()).await.unwrap(),
        "a SurrealDB server, namespace `greenroom`, database `greenroom`; schema version 5"
    );
}

#[tokio::test]
async fn a_user_of_the_namespace_or_the_database_is_enough() {
    let server = Server::start("memory");
    let root = SurrealStore::open(&server.config()).await.unwrap();
    for statement in [
        "DEFINE USER ned ON NAMESPACE PASSWORD 'secret' ROLES EDITOR",
        "DEFINE USER dora ON DATABASE PASSWORD 'secret' ROLES EDITOR",
        "DEFINE USER vera ON DATABASE PASSWORD 'secret' ROLES VIEWER",
    ] {
        root.link.query(statement, Variables::new()).await.unwrap();
    }
    for user in ["ned", "dora"] {
        let config = StoreConfig { username: Some(user.into()), ..server.config() };
        let store = SurrealStore::open(&config).await.unwrap();
        Writer::acquire(&store).await.write(vec![row(user, 1..=2)]).await;
        assert_eq!(store.load(&entity(user)).await.unwrap().tail.len(), 2);
    }
    let viewer = StoreConfig { username: Some("vera".into()), ..server.config() };
    let store = SurrealStore::open(&viewer).await.unwrap();
    let error = store.acquire().await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Unavailable(why) if why.to_string().contains("EDITOR")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_server_without_tls_is_named() {
    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("wss://{}", plain.local_addr().unwrap());
    // Whatever a client sends first, this is not a TLS answer to it.
    tokio::spawn(async move {
        let (mut socket, _) = plain.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut socket, b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
    });
    let text = SurrealStore::open(&config(&url)).await.err().unwrap().to_string();
    assert!(text.starts_with(&format!("no SurrealDB server answers at `{url}`")), "{text}");
}
