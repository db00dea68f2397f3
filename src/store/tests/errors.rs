//! The error messages that operators see.

use super::*;

async fn refusal(config: &StoreConfig) -> String {
    match SurrealStore::open(config).await {
        Ok(_) => panic!("{} opens", config.url),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_second_process_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let config = on_disk(&directory);
    let store = SurrealStore::open(&config).await.unwrap();
    let text = refusal(&config).await;
    assert!(
        text.contains("another process") && text.contains("is using the data directory"),
        "{text}"
    );
    store.close().await;
    drop(store);
    assert_eq!(
        check(&config, &Kinds::default()).await.unwrap(),
        "SurrealKV, flushed on every commit; schema version 5"
    );
}

#[tokio::test]
async fn a_scheme_that_does_not_exist_is_refused() {
    let text = refusal(&config("http://127.0.0.1:1")).await;
    assert!(text.starts_with("`store.url`"), "{text}");
}

#[tokio::test]
async fn a_directory_that_cannot_be_created_is_named() {
    let text = refusal(&config("surrealkv:///proc/greenroom")).await;
    assert!(text.starts_with("cannot create the data directory `/proc/greenroom`:"), "{text}");
}

#[tokio::test]
async fn files_that_are_not_a_database_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let config = on_disk(&directory);
    SurrealStore::open(&config).await.unwrap().close().await;
    let manifests = directory.path().join("data").join("manifest");
    for file in std::fs::read_dir(manifests).unwrap() {
        std::fs::write(file.unwrap().path(), b"not a manifest").unwrap();
    }
    let text = refusal(&config).await;
    assert!(text.starts_with("cannot open the database in `surrealkv://"), "{text}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("ws://127.0.0.1:{port}");
    let text = refusal(&config(&url)).await;
    assert!(text.starts_with(&format!("no SurrealDB server answers at `{url}`")), "{text}");
}

#[tokio::test]
async fn a_newer_schema_is_refused_with_both_versions() {
    let directory = tempfile::tempdir().unwrap();
    let config = on_disk(&directory);
    let store = SurrealStore::open(&config).await.unwrap();
    store
        .link
        .query("UPDATE meta:schema SET version = 99, oldest = 98", Variables::new())
        .await
        .unwrap();
    store.close().await;
    drop(store);
    let text = refusal(&config).await;
    assert!(
        text.contains("schema version 99")
            && text.contains("schema version 98 or later")
            && text.contains("this one has 5"),
        "{text}"
    );
}

#[tokio::test]
async fn a_newer_schema_that_says_it_is_compatible_is_used() {
    let directory = tempfile::tempdir().unwrap();
    let config = on_disk(&directory);
    let store = SurrealStore::open(&config).await.unwrap();
    store.link.query("UPDATE meta:schema SET version = 99", Variables::new()).await.unwrap();
    store.close().await;
    drop(store);
    let store = SurrealStore::open(&config).await.unwrap();
    let mut writer = Writer::acquire(&store).await;
    writer.write(vec![row("a", 1..=3)]).await;
}

#[tokio::test]
async fn a_database_from_before_compatible_versions_is_migrated() {
    let directory = tempfile::tempdir().unwrap();
    let config = on_disk(&directory);
    let store = SurrealStore::open(&config).await.unwrap();
    // As version 4 left it.
    let undo = "{
        REMOVE TABLE map; REMOVE TABLE map_log; REMOVE TABLE reach; REMOVE FIELD oldest ON meta;
        UPSERT meta:schema CONTENT { version: 4 };
    }";
    store.link.query(undo, Variables::new()).await.unwrap();
    store.close().await;
    drop(store);
    let store = SurrealStore::open(&config).await.unwrap();
    let now = "RETURN <string> (SELECT VALUE [version, oldest] FROM ONLY meta:schema)";
    let now = store.link.query(now, Variables::new()).await.unwrap();
    assert_eq!(now.into_string().unwrap(), "[5, 5]");
}

#[tokio::test]
async fn migrations_apply_in_order_and_once() {
    let store = SurrealStore::open(&config("memory")).await.unwrap();
    let connection = store.link.current().unwrap();
    let config = config("memory");
    let with = |more: &[&'static str]| {
        let applied = vec!["THROW 'this was applied by `open`';"; schema::VERSION as usize];
        let scripts = [&applied, more].concat().into_iter();
        scripts.map(|script| schema::Migration { script, oldest: 1 }).collect::<Vec<_>>()
    };
    let migrations = with(&["DEFINE TABLE second; CREATE second:a;", "CREATE second:b;"]);
    for _ in 0..2 {
        schema::migrate_to(&migrations, &connection, &config, &StoreUrl::Memory).await.unwrap();
    }
    let rows = store
        .link
        .query("RETURN <string> (SELECT VALUE id FROM second)", Variables::new())
        .await
        .unwrap();
    assert_eq!(rows.into_string().unwrap(), "[second:a, second:b]");

    let broken = with(&["", "", "CREATE second:c; THROW 'a reason';"]);
    let error =
        schema::migrate_to(&broken, &connection, &config, &StoreUrl::Memory).await.unwrap_err();
    assert!(
        matches!(&error, OpenError::Migration { version, source } if *version == schema::VERSION + 3 && source.to_string().contains("a reason")),
        "{error:?}"
    );
    let rows = store
        .link
        .query("RETURN count(SELECT VALUE id FROM second)", Variables::new())
        .await
        .unwrap();
    assert_eq!(rows.into_int().unwrap(), 2, "a migration that fails leaves nothing behind");
}
