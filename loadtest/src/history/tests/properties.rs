//! Valid histories pass, and each way of spoiling one is found as what it is.

use proptest::prelude::*;

use super::model::{self, Size};
use super::mutate::spoil;
use crate::history::{Kind, check};

/// Histories whose seeds are tried until one can be spoilt as wanted; most can at once.
const TRIES: u64 = 20;

proptest! {
    #[test]
    fn valid_histories_pass(seed: u64, steps in 0_usize..800, clients in 1_u32..6, entities in 1_u32..4, window in 1_usize..6) {
        let history = model::history(seed, &Size { steps, clients, entities, window });
        let (_, findings) = check(&history);
        prop_assert_eq!(findings.found().collect::<Vec<_>>(), [], "{:?}", findings.told());
    }

    /// The entries of different clients come in any order; their moments tell.
    #[test]
    fn clients_may_be_written_down_one_after_the_other(seed: u64) {
        let mut history = model::history(seed, &Size::default());
        let want = check(&history);
        history.entries.sort_by_key(|entry| entry.client);
        prop_assert_eq!(check(&history), want);
    }

    #[test]
    fn spoilt_histories_fail_with_what_was_spoilt(seed: u64) {
        let size = Size::default();
        for kind in Kind::ALL.iter().copied() {
            let mut rng = fastrand::Rng::with_seed(seed);
            let spoilt = (0..TRIES).find_map(|more| {
                let mut history = model::history(seed.wrapping_add(more), &size);
                spoil(kind, &mut history, size.window, &mut rng).then_some(history)
            });
            let Some(history) = spoilt else {
                return Err(TestCaseError::fail(format!("no history could be spoilt to be {kind:?}")));
            };
            let (_, findings) = check(&history);
            prop_assert!(findings.count(kind) > 0, "{kind:?} was not found, only {:?}", findings.told());
        }
    }
}

/// Prints how long a large history takes:
/// `HISTORY_OPS=1000000 cargo test --release a_large_history -- --nocapture`.
#[test]
fn a_large_history_is_judged() {
    let ops = std::env::var("HISTORY_OPS")
        .map_or(10_000, |ops| ops.parse().expect("`HISTORY_OPS` is a number"));
    // About every tenth step sends an op.
    let history =
        model::history(1, &Size { steps: ops * 10, clients: 4, entities: 16, window: 100 });
    let began = std::time::Instant::now();
    let (tally, findings) = check(&history);
    let took = began.elapsed();
    println!(
        "{} entries, {} ops, {} reads, {} deliveries: judged in {took:.2?}",
        history.entries.len(),
        tally.ops,
        tally.reads,
        tally.told
    );
    assert_eq!(findings.found().collect::<Vec<_>>(), [], "{:?}", findings.told());
    assert!(tally.ops >= ops as u64 && tally.acked > tally.ops / 2, "{tally:?}");
    assert!(
        tally.reads > 0 && tally.pages > 0 && tally.told > 0 && tally.snapshots > 0,
        "{tally:?}"
    );
}
