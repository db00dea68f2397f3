//! What every [`Store`] must do, as a suite: run it over an implementation to find out whether it
//! keeps the contract.
//!
//! It is part of the library so that the server's tests can run it over theirs. Each rule works on
//! entities of its own; the store should be empty, and nobody else may use it meanwhile.

use greenroom_protocol::{EntityId, Epoch, RawJson, Seq};

use super::{
    Batch, CommitError, Erasure, Fence, JournalRow, Loaded, Page, Rewrite, Settled, SnapshotRow,
    Store, Trim,
};
use crate::record::{Erased, EventRecord};

/// Runs all rules.
///
/// # Panics
/// With the rule that is broken.
pub async fn run(store: &dyn Store) {
    nothing_is_empty(store).await;
    events_come_back(store).await;
    pages(store).await;
    a_batch_is_written_whole(store).await;
    snapshots_replace(store).await;
    rows_are_trimmed(store).await;
    bodies_are_kept_to_the_byte(store).await;
    bodies_are_erased(store).await;
    erasures_are_kept_until_they_are_done(store).await;
    numbers_follow_each_other(store).await;
    settling_uses_a_number_up(store).await;
    a_newer_term_shuts_the_older_out(store).await;
}

/// A writer that counts its transactions.
struct Writer<'a> {
    store: &'a dyn Store,
    term: u64,
    number: u64,
}

impl<'a> Writer<'a> {
    async fn acquire(store: &'a dyn Store) -> Self {
        let term = store.acquire().await.expect("acquire answers");
        Self { store, term, number: 0 }
    }

    fn next(&mut self) -> Fence {
        self.number += 1;
        fence(self.term, self.number)
    }

    async fn write(&mut self, rows: Vec<JournalRow>, snapshots: Vec<SnapshotRow>) {
        self.write_and_trim(rows, snapshots, Vec::new()).await;
    }

    async fn write_and_trim(
        &mut self,
        rows: Vec<JournalRow>,
        snapshots: Vec<SnapshotRow>,
        trims: Vec<Trim>,
    ) {
        let fence = self.next();
        self.store
            .commit(&Batch {
                fence,
                rows,
                snapshots,
                trims,
                erasures: Vec::new(),
                rewrites: Vec::new(),
            })
            .await
            .expect("a well-formed successor commits");
    }
}

impl Writer<'_> {
    async fn erase(&mut self, rewrites: Vec<Rewrite>, erasures: Vec<(EntityId, Erasure)>) {
        let fence = self.next();
        let (rows, snapshots, trims) = Default::default();
        self.store
            .commit(&Batch { fence, rows, snapshots, trims, erasures, rewrites })
            .await
            .expect("a well-formed successor commits");
    }
}

/// The nonce follows from the number, so that attempts differ only where a rule wants it.
fn fence(term: u64, number: u64) -> Fence {
    Fence { term, number, nonce: term * 1_000_003 + number }
}

fn entity(name: &str) -> EntityId {
    EntityId::parse(&format!("conformance:{name}")).expect("this is an entity id")
}

fn epoch() -> Epoch {
    Epoch::from_bits(0xc0f0)
}

fn raw(text: &str) -> RawJson {
    RawJson::from_text(text).expect("this is JSON")
}

fn event(seq: u64) -> EventRecord {
    EventRecord {
        seq: Seq::new(seq),
        at: 1_700_000_000_000 + seq,
        from: "alice".into(),
        r#type: "post".into(),
        body: raw(&format!(r#"{{"text":"message {seq}"}}"#)),
        deleted: None,
        client: seq.is_multiple_of(2).then(|| "01J0000000000000000000000A".into()),
        n: seq.is_multiple_of(2).then_some(seq),
        began: seq.is_multiple_of(4).then_some(seq + 2000),
        tag: seq.is_multiple_of(5).then(|| "mark".into()),
        result: seq.is_multiple_of(3).then(|| raw("7")),
    }
}

fn events(seqs: std::ops::RangeInclusive<u64>) -> Vec<EventRecord> {
    seqs.map(event).collect()
}

fn row(name: &str, events: &[EventRecord]) -> JournalRow {
    let first = events.first().expect("a row has events");
    let last = events.last().expect("a row has events");
    JournalRow {
        entity: entity(name),
        epoch: epoch(),
        first_seq: first.seq,
        last_seq: last.seq,
        events: serde_json::to_string(events).expect("events are JSON"),
    }
}

fn snapshot(name: &str, seq: u64) -> SnapshotRow {
    let state = raw(&format!(r#"{{"at":{seq}}}"#));
    let dedupe = raw(&format!("[{seq}]"));
    SnapshotRow {
        entity: entity(name),
        epoch: epoch(),
        seq: Seq::new(seq),
        state,
        dedupe,
        trimmed: Seq::new(seq / 2),
        longest_row: 5,
    }
}

async fn load(store: &dyn Store, name: &str) -> Loaded {
    store.load(&entity(name)).await.expect("load answers")
}

async fn page(store: &dyn Store, name: &str, page: Page) -> Vec<EventRecord> {
    store.events(&entity(name), page).await.expect("events answers")
}

async fn nothing_is_empty(store: &dyn Store) {
    assert_eq!(
        load(store, "never").await,
        Loaded::default(),
        "an entity that was never written has nothing"
    );
    assert_eq!(
        page(store, "never", Page::After { after: Seq::ZERO, limit: 10 }).await,
        [],
        "and no events"
    );
    let mut writer = Writer::acquire(store).await;
    writer.write(Vec::new(), Vec::new()).await;
    assert_eq!(load(store, "never").await, Loaded::default(), "an empty batch writes nothing");
}

async fn events_come_back(store: &dyn Store) {
    let mut writer = Writer::acquire(store).await;
    writer.write(vec![row("events", &events(1..=3))], Vec::new()).await;
    writer.write(vec![row("events", &events(4..=4))], Vec::new()).await;
    let want = Loaded {
        snapshot: None,
        epoch: Some(epoch()),
        tail: events(1..=4),
        longest_row: 3,
        erasures: Vec::new(),
    };
    assert_eq!(load(store, "events").await, want, "without a snapshot the tail is the whole log");
}

/// Rows of 1 to 5, 6, 7 to 9: bounds within rows and between them, limits within and beyond.
async fn pages(store: &dyn Store) {
    let mut writer = Writer::acquire(store).await;
    for seqs in [1..=5, 6..=6, 7..=9] {
        writer.write(vec![row("pages", &events(seqs))], Vec::new()).await;
    }
    for bound in (0..=11).chain([u64::from(u32::MAX)]).map(Seq::new) {
        for limit in [0, 1, 2, 3, 4, 7, 9, 10, 1000] {
            let after: Vec<_> =
                events(1..=9).into_iter().filter(|event| event.seq > bound).take(limit).collect();
            let got = page(store, "pages", Page::After { after: bound, limit }).await;
            assert_eq!(got, after, "the first {limit} events after {bound}");
            let mut before: Vec<_> = events(1..=9)
                .into_iter()
                .rev()
                .filter(|event| event.seq < bound)
                .take(limit)
                .collect();
            before.reverse();
            let got = page(store, "pages", Page::Before { before: bound, limit }).await;
            assert_eq!(got, before, "the last {limit} events before {bound}");
        }
    }
}

async fn a_batch_is_written_whole(store: &dyn Store) {
    let mut writer = Writer::acquire(store).await;
    // Names of which one begins the other: a range scan must not mix them up.
    let names = ["batch", "batch-2", "batch:2", "batch.a", "batc"];
    let rows = names.iter().zip(1..).map(|(name, last)| row(name, &events(1..=last))).collect();
    writer.write(rows, vec![snapshot("batch", 1)]).await;
    for (name, last) in names.iter().zip(1..) {
        let got = page(store, name, Page::After { after: Seq::ZERO, limit: 100 }).await;
        assert_eq!(got, events(1..=last), "each entity of a batch has its own events: `{name}`");
    }
    let loaded = load(store, "batch").await;
    assert_eq!(
        (loaded.snapshot, loaded.tail),
        (Some(snapshot("batch", 1)), Vec::new()),
        "a snapshot covers the row beside it"
    );
}

async fn snapshots_replace(store: &dyn Store) {
    let mut writer = Writer::acquire(store).await;
    writer.write(vec![row("snapshots", &events(1..=4))], Vec::new()).await;
    writer.write(vec![row("snapshots", &events(5..=8))], Vec::new()).await;

    // Seq 6 is in the middle of a row.
    writer.write(Vec::new(), vec![snapshot("snapshots", 6)]).await;
    let want = Loaded {
        snapshot: Some(snapshot("snapshots", 6)),
        epoch: Some(epoch()),
        tail: events(7..=8),
        longest_row: 4,
        erasures: Vec::new(),
    };
    assert_eq!(
        load(store, "snapshots").await,
        want,
        "the tail begins behind the snapshot, within a row"
    );
    assert_eq!(
        page(store, "snapshots", Page::After { after: Seq::ZERO, limit: 100 }).await,
        events(1..=8),
        "what it covers stays"
    );

    writer.write(vec![row("snapshots", &events(9..=10))], vec![snapshot("snapshots", 9)]).await;
    let want = Loaded {
        snapshot: Some(snapshot("snapshots", 9)),
        epoch: Some(epoch()),
        tail: events(10..=10),
        longest_row: 2,
        erasures: Vec::new(),
    };
    assert_eq!(
        load(store, "snapshots").await,
        want,
        "a newer one, within a row of the same batch, replaces the older one"
    );
}

async fn rows_are_trimmed(store: &dyn Store) {
    let mut writer = Writer::acquire(store).await;
    let trim = |from, through| {
        let (from, through) = (Seq::new(from), Seq::new(through));
        vec![Trim { entity: entity("trimmed"), from, through, rows: 1 }]
    };
    for seqs in [1..=4, 5..=5, 6..=8] {
        writer.write(vec![row("trimmed", &events(seqs))], Vec::new()).await;
    }
    writer.write(vec![row("trimmed-not", &events(1..=9))], Vec::new()).await;

    writer.write_and_trim(Vec::new(), vec![snapshot("trimmed", 7)], trim(0, 3)).await;
    assert_eq!(
        page(store, "trimmed", Page::After { after: Seq::ZERO, limit: 100 }).await,
        events(1..=8),
        "a row that goes on behind stays"
    );
    writer.write_and_trim(Vec::new(), Vec::new(), trim(1, 4)).await;
    assert_eq!(
        page(store, "trimmed", Page::After { after: Seq::ZERO, limit: 100 }).await,
        events(5..=8),
        "one that ends within goes"
    );
    let both = [trim(5, 5), trim(6, 7)].concat();
    writer
        .write_and_trim(vec![row("trimmed", &events(9..=9))], vec![snapshot("trimmed", 8)], both)
        .await;
    assert_eq!(
        page(store, "trimmed", Page::After { after: Seq::ZERO, limit: 100 }).await,
        events(6..=9),
        "several in one batch, beside a row"
    );
    assert_eq!(
        page(store, "trimmed", Page::Before { before: Seq::new(8), limit: 100 }).await,
        events(6..=7),
        "from either side"
    );

    writer.write_and_trim(Vec::new(), vec![snapshot("trimmed", 9)], trim(5, 9)).await;
    let want = Loaded {
        snapshot: Some(snapshot("trimmed", 9)),
        epoch: Some(epoch()),
        tail: Vec::new(),
        longest_row: 0,
        erasures: Vec::new(),
    };
    assert_eq!(load(store, "trimmed").await, want, "a log can be trimmed to its snapshot alone");
    assert_eq!(
        page(store, "trimmed", Page::Before { before: Seq::new(100), limit: 100 }).await,
        [],
        "and has no events then"
    );
    writer.write(vec![row("trimmed", &events(10..=10))], Vec::new()).await;
    assert_eq!(load(store, "trimmed").await.tail, events(10..=10), "and goes on");
    assert_eq!(
        page(store, "trimmed-not", Page::After { after: Seq::ZERO, limit: 100 }).await,
        events(1..=9),
        "others are left alone"
    );
}

async fn bodies_are_kept_to_the_byte(store: &dyn Store) {
    let mut writer = Writer::acquire(store).await;
    let mut odd = event(1);
    odd.body = raw(
        r#"{"b":1.10,"a":[1e3, 12345678901234567890123 , "\u00e9é👍\\\"'`$"],"a2":"-- ;\u0000"}"#,
    );
    odd.from = "o'brien \"quoted\" ⟨x⟩".into();
    writer.write(vec![row("bytes", std::slice::from_ref(&odd))], Vec::new()).await;
    let mut state = snapshot("bytes", 1);
    state.state = odd.body.clone();
    writer.write(Vec::new(), vec![state.clone()]).await;
    assert_eq!(
        page(store, "bytes", Page::After { after: Seq::ZERO, limit: 1 }).await,
        [odd],
        "an event comes back as it was written"
    );
    assert_eq!(load(store, "bytes").await.snapshot, Some(state), "and so does a state");
}

fn body(seq: u64) -> Erased {
    Erased { message: Seq::new(seq), bytes: 7 }
}

fn rewrite(name: &str, seqs: &[u64], done: &[u64]) -> Rewrite {
    Rewrite {
        entity: entity(name),
        events: seqs.iter().map(|seq| (Seq::new(*seq), body(*seq))).collect(),
        done: done.iter().copied().map(Seq::new).collect(),
    }
}

/// Rows of 1 to 40, 41, 42 to 60: within rows, over several, beside others.
async fn bodies_are_erased(store: &dyn Store) {
    let mut writer = Writer::acquire(store).await;
    for seqs in [1..=40, 41..=41, 42..=60] {
        writer.write(vec![row("erased", &events(seqs))], Vec::new()).await;
    }
    writer.write(vec![row("erased-not", &events(1..=60))], Vec::new()).await;
    let mut odd = event(61);
    odd.body = raw(r#"{"b":1.10,"a":[1e3, 12345678901234567890123 , "\u00e9👍"]}"#);
    writer
        .write(vec![row("erased", &[odd.clone(), event(62)])], vec![snapshot("erased", 55)])
        .await;
    let mut want = [events(1..=60), vec![odd, event(62)]].concat();
    for seqs in [vec![39], vec![1, 40, 41, 42], vec![60, 62], vec![], vec![41]] {
        for seq in &seqs {
            want[*seq as usize - 1] = want[*seq as usize - 1].tombstone(body(*seq));
        }
        writer.erase(vec![rewrite("erased", &seqs, &[])], Vec::new()).await;
        assert_eq!(
            page(store, "erased", Page::After { after: Seq::ZERO, limit: 100 }).await,
            want,
            "{seqs:?} have lost their bodies alone"
        );
    }
    assert_eq!(load(store, "erased").await.tail, want[55..], "and so does a load");
    let trim =
        vec![Trim { entity: entity("erased"), from: Seq::FIRST, through: Seq::new(41), rows: 2 }];
    writer.write_and_trim(Vec::new(), Vec::new(), trim).await;
    writer.erase(vec![rewrite("erased", &[2, 43], &[])], Vec::new()).await;
    want[42] = want[42].tombstone(body(43));
    assert_eq!(
        page(store, "erased", Page::After { after: Seq::ZERO, limit: 100 }).await,
        want[41..],
        "what is trimmed does not come back"
    );
    writer.write(vec![row("erased", &events(63..=63))], Vec::new()).await;
    assert_eq!(
        page(store, "erased-not", Page::After { after: Seq::ZERO, limit: 100 }).await,
        events(1..=60),
        "others are left alone"
    );
}

async fn erasures_are_kept_until_they_are_done(store: &dyn Store) {
    let mut writer = Writer::acquire(store).await;
    let [first, second] = ["notes-a", "notes-b"];
    let note = |message, by, purge| Erasure { message: Seq::new(message), by: Seq::new(by), purge };
    writer.write(vec![row(first, &events(1..=9)), row(second, &events(1..=9))], Vec::new()).await;
    writer
        .erase(
            Vec::new(),
            vec![
                (entity(first), note(3, 4, false)),
                (entity(first), note(5, 6, true)),
                (entity(second), note(1, 9, true)),
            ],
        )
        .await;
    assert_eq!(
        load(store, first).await.erasures,
        [note(3, 4, false), note(5, 6, true)],
        "they are loaded"
    );
    let found = async |after: Option<&str>, limit| {
        let after = after.map(entity);
        let found = store.erasing(after.as_ref(), limit).await.expect("erasing answers");
        found.into_iter().map(|entity| entity.id().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found(None, 10).await, [first, second], "and found");
    assert_eq!(found(Some(first), 10).await, [second]);
    assert_eq!(found(Some(second), 10).await, [""; 0]);
    assert_eq!(found(None, 1).await, [first]);
    writer
        .erase(vec![rewrite(first, &[3], &[3, 7])], vec![(entity(first), note(5, 8, true))])
        .await;
    assert_eq!(
        load(store, first).await.erasures,
        [note(5, 8, true)],
        "what is done is forgotten, what is asked for again replaced"
    );
    let again = vec![(entity(second), note(1, 10, true))];
    writer.erase(vec![rewrite(second, &[1], &[1])], again).await;
    assert_eq!(
        load(store, second).await.erasures,
        [note(1, 10, true)],
        "in one transaction the earlier is done and the later stays"
    );
    writer.erase(vec![rewrite(first, &[], &[5]), rewrite(second, &[], &[1])], Vec::new()).await;
    assert_eq!(found(None, 10).await, [""; 0]);
}

async fn numbers_follow_each_other(store: &dyn Store) {
    let mut writer = Writer::acquire(store).await;
    let batch = |fence, seq| Batch {
        fence,
        rows: vec![row("numbers", &events(seq..=seq))],
        snapshots: Vec::new(),
        trims: Vec::new(),
        erasures: Vec::new(),
        rewrites: Vec::new(),
    };
    store.commit(&batch(writer.next(), 1)).await.expect("number 1 follows the acquisition");
    refused(store, &batch(fence(writer.term, 1), 2), "a number commits once").await;
    refused(store, &batch(fence(writer.term, 3), 2), "no number is left out").await;
    assert_eq!(
        load(store, "numbers").await.tail,
        events(1..=1),
        "a refused transaction writes nothing"
    );
    store.commit(&batch(writer.next(), 2)).await.expect("a refusal uses no number up");
    assert_eq!(load(store, "numbers").await.tail, events(1..=2), "and the right number writes");
}

async fn settling_uses_a_number_up(store: &dyn Store) {
    let mut writer = Writer::acquire(store).await;
    let batch = |fence, seq| Batch {
        fence,
        rows: vec![row("settle", &events(seq..=seq))],
        snapshots: Vec::new(),
        trims: Vec::new(),
        erasures: Vec::new(),
        rewrites: Vec::new(),
    };

    let written = writer.next();
    store.commit(&batch(written, 1)).await.expect("a successor commits");
    for _ in 0..2 {
        assert_eq!(
            store.settle(written).await.expect("settle answers"),
            Settled::Committed,
            "what is written is found, each time"
        );
    }
    let other = Fence { nonce: written.nonce + 1, ..written };
    assert_eq!(
        store.settle(other).await.expect("settle answers"),
        Settled::NotCommitted,
        "another attempt at the same number was not it"
    );

    let lost = writer.next();
    for _ in 0..2 {
        assert_eq!(
            store.settle(lost).await.expect("settle answers"),
            Settled::NotCommitted,
            "what never came is not written, each time"
        );
    }
    refused(store, &batch(lost, 2), "a straggler finds its number used up").await;
    assert_eq!(load(store, "settle").await.tail, events(1..=1), "and writes nothing");
    assert_eq!(
        store.settle(lost).await.expect("settle answers"),
        Settled::NotCommitted,
        "which settles the same afterwards"
    );

    store.commit(&batch(writer.next(), 2)).await.expect("the next number goes on");
    assert_eq!(load(store, "settle").await.tail, events(1..=2), "with the events that were lost");
}

async fn a_newer_term_shuts_the_older_out(store: &dyn Store) {
    let mut older = Writer::acquire(store).await;
    let batch = |fence, seq| Batch {
        fence,
        rows: vec![row("terms", &events(seq..=seq))],
        snapshots: Vec::new(),
        trims: Vec::new(),
        erasures: Vec::new(),
        rewrites: Vec::new(),
    };
    let first = older.next();
    store.commit(&batch(first, 1)).await.expect("a successor commits");
    let on_its_way = older.next();

    let mut newer = Writer::acquire(store).await;
    assert!(newer.term > older.term, "terms grow: {} after {}", newer.term, older.term);
    for (fence, what) in [
        (on_its_way, "a straggler of an older term"),
        (fence(older.term, 1), "an older term's first number"),
    ] {
        let got = store.commit(&batch(fence, 2)).await;
        assert!(matches!(got, Err(CommitError::Fenced(_))), "{what} is fenced off, not {got:?}");
    }
    let got = store.settle(on_its_way).await;
    assert!(
        matches!(got, Err(CommitError::Fenced(_))),
        "an older term uses no number up, but {got:?}"
    );
    assert_eq!(load(store, "terms").await.tail, events(1..=1), "and writes nothing");
    store.commit(&batch(newer.next(), 2)).await.expect("a new term counts from 1");
    assert_eq!(load(store, "terms").await.tail, events(1..=2), "on the log that it found");
}

async fn refused(store: &dyn Store, batch: &Batch, rule: &str) {
    let got = store.commit(batch).await;
    assert!(
        matches!(got, Err(CommitError::Failed(_) | CommitError::Fenced(_))),
        "{rule}, but {got:?}"
    );
}
