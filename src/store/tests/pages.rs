//! Pages of logs of many shapes, compared with what a plain list would give.

use super::*;

/// Writes consecutive rows of `lengths` events each, starting at seq 1. Returns the last seq.
async fn log(store: &SurrealStore, name: &str, lengths: &[u64]) -> u64 {
    let mut writer = Writer::acquire(store).await;
    let mut next = 1;
    for length in lengths {
        writer.write(vec![row(name, next..=next + length - 1)]).await;
        next += length;
    }
    next - 1
}

async fn assert_pages(
    store: &SurrealStore,
    name: &str,
    exist: std::ops::RangeInclusive<u64>,
    bounds: &[u64],
) {
    for &bound in bounds {
        for limit in [1, 3, 100] {
            let want: Vec<_> = exist.clone().filter(|seq| *seq > bound).take(limit).collect();
            assert_eq!(
                seqs(store, name, Page::After { after: Seq::new(bound), limit }).await,
                want,
                "{limit} after {bound} of `{name}`"
            );
            let mut want: Vec<_> =
                exist.clone().rev().filter(|seq| *seq < bound).take(limit).collect();
            want.reverse();
            assert_eq!(
                seqs(store, name, Page::Before { before: Seq::new(bound), limit }).await,
                want,
                "{limit} before {bound} of `{name}`"
            );
        }
    }
}

const ENDS: [u64; 4] = [0, 1, 1 << 40, u64::MAX];

#[tokio::test]
async fn rows_of_every_length() {
    let store = SurrealStore::open(&config("memory")).await.unwrap();
    for (name, lengths) in [
        ("short", vec![1; 40]),
        ("mixed", vec![1, 20, 1, 300, 2, 17, 16, 15]),
        ("long", vec![4096, 1, 4096]),
        ("single", vec![300]),
    ] {
        let last = log(&store, name, &lengths).await;
        let mut bounds = vec![last / 3, last / 2, last - 1, last, last + 1, last + 2, last + 60];
        bounds.extend(ENDS);
        bounds.extend([20, 21, 22, 23].into_iter().filter(|bound| *bound < last));
        assert_pages(&store, name, 1..=last, &bounds).await;
    }
}

#[tokio::test]
async fn trimmed_events_are_absent() {
    let store = SurrealStore::open(&config("memory")).await.unwrap();
    let last = log(&store, "trimmed", &[30, 30, 200, 1, 1, 1, 1]).await;
    let mut writer = Writer::acquire(&store).await;
    let mut batch = writer.batch(Vec::new());
    // The second trim ends within the third row, which therefore stays.
    batch.snapshots = vec![snapshot("trimmed", last - 2, 0)];
    batch.trims = vec![trim("trimmed", 0, 20), trim("trimmed", 0, 100)];
    store.commit(&batch).await.unwrap();
    let mut bounds = vec![30, 59, 60, 61, 62, 100, 250, last - 1, last, last + 1];
    bounds.extend(ENDS);
    assert_pages(&store, "trimmed", 61..=last, &bounds).await;
    let loaded = store.load(&entity("trimmed")).await.unwrap();
    assert_eq!(
        loaded.tail.iter().map(|event| event.seq).collect::<Vec<_>>(),
        [last - 1, last].map(Seq::new)
    );
}

#[tokio::test]
async fn a_tail_is_found_in_a_row_that_begins_long_before_the_snapshot() {
    let store = SurrealStore::open(&config("memory")).await.unwrap();
    let last = log(&store, "tail", &[10, 1000, 3]).await;
    for at in [5, 10, 11, 12, 900, 1009, 1010, 1011, last] {
        let mut writer = Writer::acquire(&store).await;
        let mut batch = writer.batch(Vec::new());
        batch.snapshots = vec![snapshot("tail", at, at / 2)];
        store.commit(&batch).await.unwrap();
        let loaded = store.load(&entity("tail")).await.unwrap();
        let got: Vec<_> = loaded.tail.iter().map(|event| event.seq.get()).collect();
        assert_eq!(got, (at + 1..=last).collect::<Vec<_>>(), "after {at}");
        assert_eq!(
            loaded.snapshot.map(|row| (row.trimmed, row.longest_row)),
            Some((Seq::new(at / 2), 7))
        );
        let longest = if at < 1010 { 1000 } else { 3 };
        assert!(
            at == last || loaded.longest_row >= longest,
            "{} for {longest} after {at}",
            loaded.longest_row
        );
    }
}

#[tokio::test]
async fn a_gap_is_reported_and_not_served() {
    let store = SurrealStore::open(&config("memory")).await.unwrap();
    let mut writer = Writer::acquire(&store).await;
    writer.write(vec![row("gap", 1..=3)]).await;
    writer.write(vec![row("gap", 5..=6)]).await;
    let want = StoreError::Corrupt("`room:gap`: event 5 follows 3".into()).to_string();
    assert_eq!(store.load(&entity("gap")).await.unwrap_err().to_string(), want);
    assert_eq!(
        store
            .events(&entity("gap"), Page::After { after: Seq::ZERO, limit: 10 })
            .await
            .unwrap_err()
            .to_string(),
        want
    );

    let mut batch = writer.batch(Vec::new());
    batch.snapshots = vec![snapshot("late", 3, 0)];
    batch.rows = vec![row("late", 5..=6)];
    store.commit(&batch).await.unwrap();
    let want =
        StoreError::Corrupt("`room:late`: event 5 follows the snapshot at 3".into()).to_string();
    assert_eq!(store.load(&entity("late")).await.unwrap_err().to_string(), want);
}

/// A snapshot as a database of schema version 1 has it.
#[tokio::test]
async fn a_snapshot_of_schema_version_1_is_read_and_replaced() {
    let store = SurrealStore::open(&config("memory")).await.unwrap();
    let last = log(&store, "old", &[4]).await;
    let text = "CREATE snapshot:['room', 'old'] SET epoch = $epoch, seq = 2, state = 'null', dedupe = 'null' RETURN NONE";
    let mut variables = Variables::new();
    variables.insert("epoch", Epoch::from_bits(7).as_str());
    store.link.query(text, variables).await.unwrap();
    let loaded = store.load(&entity("old")).await.unwrap();
    assert_eq!(
        (loaded.snapshot, loaded.tail.len()),
        (Some(SnapshotRow { longest_row: 4096, ..snapshot("old", 2, 0) }), 2)
    );
    let mut batch = Writer::acquire(&store).await.batch(Vec::new());
    batch.snapshots = vec![snapshot("old", last, 3)];
    store.commit(&batch).await.unwrap();
    assert_eq!(store.load(&entity("old")).await.unwrap().snapshot, Some(snapshot("old", last, 3)));
}
