//! In memory and on disk.

use super::server::Server;
use super::*;

#[tokio::test]
async fn memory_meets_the_contract() {
    let store = SurrealStore::open(&config("memory")).await.unwrap();
    conformance::run(&store).await;
}

#[tokio::test]
async fn surrealkv_meets_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    let store = SurrealStore::open(&on_disk(&directory)).await.unwrap();
    conformance::run(&store).await;
    store.close().await;
}

#[tokio::test]
async fn a_node_of_a_cluster_meets_the_contract() {
    let node = LeaseKey::Node { id: u64::MAX, lane: 3 };
    let store = SurrealStore::open(&config("memory")).await.unwrap().with_lease(node);
    conformance::run(&store).await;
    let rows = "RETURN <string> (SELECT VALUE id FROM lease)";
    let rows = store.link.query(rows, Variables::new()).await.unwrap();
    assert_eq!(rows.into_string().unwrap(), "[lease:['ffffffffffffffff', 3]]");
}

#[tokio::test]
async fn memory_meets_the_contract_of_the_cluster() {
    let store = SurrealStore::open(&config("memory")).await.unwrap();
    let open = |node: NodeId| -> Box<dyn Store> {
        Box::new(store.another().with_lease(LeaseKey::Node { id: node.0, lane: 0 }))
    };
    cluster::conformance::run(&store.registry(), &open).await;
}

#[tokio::test]
async fn surrealkv_meets_the_contract_of_the_cluster() {
    let directory = tempfile::tempdir().unwrap();
    let store = SurrealStore::open(&on_disk(&directory)).await.unwrap();
    let open = |node: NodeId| -> Box<dyn Store> {
        Box::new(store.another().with_lease(LeaseKey::Node { id: node.0, lane: 0 }))
    };
    cluster::conformance::run(&store.registry(), &open).await;
    store.close().await;
}

#[tokio::test]
async fn each_lease_fences_its_own_transactions_only() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(format!("surrealkv://{}", directory.path().display()));
    let open = async |lease| SurrealStore::open(&server.config()).await.unwrap().with_lease(lease);
    let first = open(LeaseKey::Node { id: 1, lane: 0 }).await;
    let second = open(LeaseKey::Node { id: 2, lane: 0 }).await;
    let single = open(LeaseKey::Single).await;
    let mut writers = [
        Writer::acquire(&first).await,
        Writer::acquire(&second).await,
        Writer::acquire(&single).await,
    ];
    for round in 0..3 {
        for (writer, name) in writers.iter_mut().zip(["a", "b", "c"]) {
            writer.write(vec![row(name, round + 1..=round + 1)]).await;
        }
    }
    let again = open(LeaseKey::Node { id: 1, lane: 0 }).await;
    assert_eq!(again.acquire().await.unwrap(), writers[0].last.term + 1);
    let late = writers[0].batch(vec![row("a", 4..=4)]);
    let error = first.commit(&late).await.unwrap_err();
    assert!(matches!(error, CommitError::Fenced(_)), "{error:?}");
    writers[1].write(vec![row("b", 4..=4)]).await;
}

/// Both write the row that says which behaviour the kind has, and neither may fail for that.
#[tokio::test]
async fn two_nodes_may_write_the_first_entities_of_a_kind_at_once() {
    let kinds = crate::Config::default().kinds().unwrap();
    // So many rows that the two transactions overlap.
    let rows = |name| (1..=1000).map(|seq| row(name, seq..=seq)).collect();
    for _ in 0..3 {
        let directory = tempfile::tempdir().unwrap();
        let server = Server::start(format!("surrealkv://{}", directory.path().display()));
        let open = async |id| {
            let store = SurrealStore::open(&server.config()).await.unwrap();
            store.keep_behaviours(&kinds).await.unwrap();
            store.with_lease(LeaseKey::Node { id, lane: 0 })
        };
        let (first, second) = (open(1).await, open(2).await);
        let mut writers = [Writer::acquire(&first).await, Writer::acquire(&second).await];
        let [one, two] = &mut writers;
        tokio::join!(one.write(rows("a")), two.write(rows("b")));
    }
}

#[tokio::test]
async fn data_on_disk_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = SurrealStore::open(&on_disk(&directory)).await.unwrap();
    let mut writer = Writer::acquire(&store).await;
    writer.write(vec![row("a", 1..=3), row("b", 1..=1)]).await;
    let older = writer.last.term;
    store.close().await;
    drop(store);

    let store = SurrealStore::open(&on_disk(&directory)).await.unwrap();
    assert_eq!(seqs(&store, "a", Page::After { after: Seq::ZERO, limit: 10 }).await, [1, 2, 3]);
    let mut writer = Writer::acquire(&store).await;
    assert_eq!(writer.last.term, older + 1);
    writer.write(vec![row("a", 4..=4)]).await;
    let loaded = store.load(&entity("a")).await.unwrap();
    assert_eq!((loaded.tail.len(), loaded.epoch), (4, Some(Epoch::from_bits(7))));
    store.close().await;
}

#[tokio::test]
async fn an_engine_that_was_given_up_is_reopened() {
    let directory = tempfile::tempdir().unwrap();
    let store = SurrealStore::open(&on_disk(&directory)).await.unwrap();
    let mut writer = Writer::acquire(&store).await;
    writer.write(vec![row("a", 1..=3)]).await;

    let engine = store.link.current().unwrap();
    store.link.give_up(&engine, &lost("the disk"));
    assert!(store.link.current().is_none());
    drop(engine);

    writer.write(vec![row("a", 4..=4)]).await;
    assert_eq!(seqs(&store, "a", Page::After { after: Seq::ZERO, limit: 10 }).await, [1, 2, 3, 4]);
    store.close().await;
}

#[tokio::test]
async fn memory_is_never_given_up() {
    let store = SurrealStore::open(&config("memory")).await.unwrap();
    let engine = store.link.current().unwrap();
    store.link.give_up(&engine, &lost("a timeout"));
    assert!(store.link.current().is_some());
}

#[tokio::test]
async fn a_transaction_that_races_with_its_settling_is_written_once_or_never() {
    let store = SurrealStore::open(&config("memory")).await.unwrap();
    let mut writer = Writer::acquire(&store).await;
    let mut committed = 0;
    let mut next = 1;
    for _ in 0..50 {
        let batch = writer.batch(vec![row("race", next..=next)]);
        let (commit, settled) = tokio::join!(store.commit(&batch), store.settle(batch.fence));
        match (&commit, &settled) {
            (Ok(()), Ok(Settled::Committed)) => {
                committed += 1;
                next += 1;
            }
            (Err(CommitError::Failed(_)), Ok(Settled::NotCommitted)) => {}
            _ => panic!("{commit:?} does not go with {settled:?}"),
        }
        assert_eq!(store.load(&entity("race")).await.unwrap().tail.len(), committed);
    }
}

#[tokio::test]
async fn a_row_that_exists_is_not_replaced() {
    let store = SurrealStore::open(&config("memory")).await.unwrap();
    let mut writer = Writer::acquire(&store).await;
    writer.write(vec![row("a", 1..=3)]).await;
    let again = writer.batch(vec![row("b", 1..=1), row("a", 1..=1)]);
    let error = store.commit(&again).await.unwrap_err();
    assert!(
        matches!(&error, CommitError::Failed(why) if why.to_string().contains("already exists")),
        "{error:?}"
    );
    // All or nothing: neither the other row nor the lease's number was written.
    assert_eq!(store.load(&entity("b")).await.unwrap().tail, []);
    store.commit(&Batch { rows: vec![row("b", 1..=2)], ..again }).await.unwrap();
    assert_eq!(seqs(&store, "b", Page::After { after: Seq::ZERO, limit: 9 }).await, [1, 2]);
}

/// Copies the files as a crash at this moment would leave them.
fn crash(config: &StoreConfig, to: &tempfile::TempDir) -> StoreConfig {
    fn copy(from: &std::path::Path, to: &std::path::Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
            let to = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                copy(&entry.path(), &to);
            } else {
                std::fs::copy(entry.path(), to).unwrap();
            }
        }
    }
    let Ok(StoreUrl::SurrealKv(from)) = config.target() else {
        panic!("{} is not on disk", config.url)
    };
    let left = on_disk(to);
    copy(&from, &to.path().join("data"));
    left
}

#[tokio::test]
async fn commits_after_a_torn_log_survive_the_next_crash() {
    let directories: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let first = on_disk(&directories[0]);
    let store = SurrealStore::open(&first).await.unwrap();
    let mut writer = Writer::acquire(&store).await;
    writer.write(vec![row("a", 1..=3)]).await;
    writer.write(vec![row("a", 4..=300)]).await;
    let second = crash(&first, &directories[1]);
    // Tear the second row's record.
    let logs = directories[1].path().join("data").join("wal");
    let log = std::fs::read_dir(logs).unwrap().map(|entry| entry.unwrap().path()).max().unwrap();
    let length = std::fs::metadata(&log).unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&log).unwrap().set_len(length - 100).unwrap();

    let store = SurrealStore::open(&second).await.unwrap();
    assert_eq!(seqs(&store, "a", Page::After { after: Seq::ZERO, limit: 1000 }).await, [1, 2, 3]);
    Writer::acquire(&store).await.write(vec![row("a", 4..=6)]).await;
    let third = crash(&second, &directories[2]);

    let store = SurrealStore::open(&third).await.unwrap();
    assert_eq!(
        seqs(&store, "a", Page::After { after: Seq::ZERO, limit: 1000 }).await,
        [1, 2, 3, 4, 5, 6]
    );
}

#[tokio::test]
async fn an_engine_is_reopened_even_if_the_caller_stops_waiting() {
    let directory = tempfile::tempdir().unwrap();
    let store = SurrealStore::open(&on_disk(&directory)).await.unwrap();
    Writer::acquire(&store).await.write(vec![row("a", 1..=3)]).await;
    let engine = store.link.current().unwrap();
    store.link.give_up(&engine, &lost("the disk"));
    drop(engine);

    let a = entity("a");
    let impatient = tokio::time::timeout(Duration::from_millis(1), store.load(&a)).await;
    assert!(impatient.is_err(), "opening takes longer than that");
    assert_eq!(seqs(&store, "a", Page::After { after: Seq::ZERO, limit: 10 }).await, [1, 2, 3]);
    store.close().await;
}
