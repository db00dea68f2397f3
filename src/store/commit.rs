//! Transactions under the lease.
//!
//! Each is one block, and so one SurrealDB transaction. A commit first moves the lease from
//! `number - 1` to `number`: the update matches exactly one row, or the block throws. Because every
//! commit writes that row, one of two transactions that race for a number is refused as a conflict.

use std::sync::Arc;

use greenroom_actors::store::{Batch, CommitError, Fence, Settled, StoreError};
use surrealdb::types::{SurrealValue, Value, Variables};

use super::failure::Failure;
use super::lease::LeaseKey;
use super::link::Link;
use super::rows::{ErasureRecord, JournalRecord, SnapshotRecord, TrimRecord, bits, int};

/// The start of the error thrown when the lease is not where it should be, followed by the lease's
/// term and number.
const LEASE_IS: &str = "the lease is at ";

/// How often to retry after a conflict with another transaction.
const CONFLICT_TRIES: u32 = 5;

const READ_TERM: &str = "RETURN (SELECT VALUE term FROM ONLY $lease) ?? 0";

/// Takes the lease only from the term that was read, so that a straggler cannot take it from a
/// later term. SurrealDB silently skips writes that the user has no right to, so each statement
/// counts the rows it wrote.
const ACQUIRE: &str = "{
    LET $found = (SELECT VALUE term FROM ONLY $lease) ?? 0;
    IF $found != $term { THROW 'the lease is at ' + <string> [$found, 0] };
    LET $own = (UPSERT $lease SET term = $term + 1, number = 0, nonce = 0, settled = 0 RETURN VALUE term);
    IF array::len($own) != 1 { THROW 'the user may not write; it needs the role EDITOR' };
    RETURN $own[0];
}";

macro_rules! commit {
    ($($rest:literal)*) => {
        concat!(
            "{
    LET $own = (UPDATE $lease SET number = $number, nonce = $nonce WHERE term = $term AND number = $number - 1 RETURN VALUE number);
    IF array::len($own) != 1 { THROW 'the lease is at ' + <string> ((SELECT VALUE [term, number] FROM ONLY $lease) ?? [0, 0]) };
    INSERT INTO journal $rows RETURN NONE;",
            $($rest,)*
            "
    RETURN NONE;
}"
        )
    };
}

macro_rules! commit_with_snapshots {
    ($($rest:literal)*) => {
        commit!(
            "
    INSERT INTO snapshot $snapshots ON DUPLICATE KEY UPDATE
        epoch = $input.epoch, seq = $input.seq, state = $input.state, dedupe = $input.dedupe, trimmed = $input.trimmed, longest_row = $input.longest_row RETURN NONE;
    FOR $trim IN $trims {
        DELETE journal:[$trim.kind, $trim.id, $trim.from]..=[$trim.kind, $trim.id, $trim.through]
            WHERE last_seq <= $trim.through RETURN NONE;
    };"
            $($rest)*
        )
    };
}

const COMMIT: &str = commit!();

/// Separate from [`COMMIT`] because most transactions have neither snapshots nor trims, and parsing
/// them costs time.
const COMMIT_WITH_SNAPSHOTS: &str = commit_with_snapshots!();

/// For the first transaction that writes entities of a kind.
const COMMIT_WITH_KINDS: &str = commit_with_snapshots!(
    "
    INSERT IGNORE INTO kind $kinds RETURN NONE;"
);

/// For the few transactions that erase something.
const COMMIT_WITH_ERASURES: &str = commit_with_snapshots!(
    "
    FOR $row IN $rewritten { UPDATE $row.id SET events = $row.events RETURN NONE };
    FOR $id IN $done { DELETE $id RETURN NONE };
    INSERT INTO erasure $erasures ON DUPLICATE KEY UPDATE by = $input.by, purge = purge OR $input.purge RETURN NONE;
    INSERT IGNORE INTO kind $kinds RETURN NONE;"
);

/// Writes whatever the outcome, so that its answer is on disk even if the flush of the transaction
/// in question failed.
const SETTLE: &str = "{
    LET $is = (SELECT term, number, nonce FROM ONLY $lease) ?? { term: 0, number: 0, nonce: 0 };
    IF $is.term != $term OR $is.number NOT IN [$number - 1, $number] {
        THROW 'the lease is at ' + <string> [$is.term, $is.number]
    };
    LET $used_up = $is.number = $number;
    LET $nonce_now = IF $used_up { $is.nonce } ELSE { $other };
    LET $own = (UPDATE $lease SET number = $number, nonce = $nonce_now, settled += 1 RETURN VALUE number);
    IF array::len($own) != 1 { THROW 'the user may not write; it needs the role EDITOR' };
    RETURN $used_up AND $is.nonce = $nonce;
}";

/// Takes the lease: the next term.
pub(super) async fn acquire(link: &Arc<Link>, key: LeaseKey) -> Result<u64, StoreError> {
    let mut tries = 0;
    loop {
        let unavailable = |failure: Failure| StoreError::Unavailable(failure.into());
        let found = link.query(READ_TERM, lease_variable(key)).await.map_err(unavailable)?;
        let found: i64 = number(found)
            .ok_or_else(|| StoreError::Corrupt("the lease's term is not a valid number".into()))?;
        let mut variables = lease_variable(key);
        variables.insert("term", found);
        match link.query(ACQUIRE, variables).await {
            Ok(term) => {
                let term = number(term).and_then(|term: i64| u64::try_from(term).ok());
                return term.ok_or_else(|| {
                    StoreError::Corrupt("the lease's term is not a valid number".into())
                });
            }
            // Another process took a term in the meantime.
            Err(Failure::Refused(_)) if tries < CONFLICT_TRIES => tries += 1,
            Err(Failure::Thrown(error))
                if tries < CONFLICT_TRIES && lease_in(error.message()).is_some() =>
            {
                tries += 1;
            }
            Err(failure) => return Err(unavailable(failure)),
        }
    }
}

/// Rows that a transaction writes in addition to its batch.
#[derive(Default)]
pub(super) struct ExtraRows {
    /// New rows of the table `kind`.
    pub kinds: Vec<Value>,
    /// Rows of the table `journal`, as the batch's rewrites change them.
    pub rewritten: Vec<Value>,
    /// Keys of the rows of the table `erasure` that are no longer needed.
    pub done: Vec<Value>,
}

pub(super) async fn commit(
    link: &Arc<Link>,
    key: LeaseKey,
    batch: &Batch,
    extra: ExtraRows,
) -> Result<(), CommitError> {
    let ExtraRows { kinds, rewritten, done } = extra;
    let rows: Vec<Value> =
        batch.rows.iter().map(|row| JournalRecord::new(row).into_value()).collect();
    let mut variables = fence_variables(key, batch.fence);
    variables.insert("rows", rows);
    let erases = !batch.erasures.is_empty() || !batch.rewrites.is_empty();
    if erases {
        let erasures = batch
            .erasures
            .iter()
            .map(|(entity, erasure)| ErasureRecord::new(entity, erasure).into_value());
        variables.insert("rewritten", rewritten);
        variables.insert("done", done);
        variables.insert("erasures", erasures.collect::<Vec<Value>>());
    }
    // These rows are the only ones that two nodes may write at once. A transaction that was refused
    // for that has written nothing, so its number can be used again.
    let mut tries = if kinds.is_empty() { 0 } else { CONFLICT_TRIES };
    let statement =
        if batch.snapshots.is_empty() && batch.trims.is_empty() && !erases && kinds.is_empty() {
            COMMIT
        } else {
            let snapshots: Vec<Value> =
                batch.snapshots.iter().map(|row| SnapshotRecord::new(row).into_value()).collect();
            let trims: Vec<Value> =
                batch.trims.iter().map(|trim| TrimRecord::new(trim).into_value()).collect();
            variables.insert("snapshots", snapshots);
            variables.insert("trims", trims);
            if erases {
                variables.insert("kinds", kinds);
                COMMIT_WITH_ERASURES
            } else if kinds.is_empty() {
                COMMIT_WITH_SNAPSHOTS
            } else {
                variables.insert("kinds", kinds);
                COMMIT_WITH_KINDS
            }
        };
    let failure = loop {
        let again = (tries > 0).then(|| variables.clone());
        match (link.query(statement, variables).await, again) {
            (Ok(_), _) => return Ok(()),
            (Err(Failure::Refused(_)), Some(again)) => variables = again,
            (Err(failure), _) => break failure,
        }
        tries -= 1;
    };
    Err(match &failure {
        Failure::Thrown(error) if is_other_term(error, batch.fence) => {
            CommitError::Fenced(failure.into())
        }
        Failure::Thrown(_) | Failure::NotSent(_) | Failure::Refused(_) => {
            CommitError::Failed(failure.into())
        }
        Failure::Lost(_) => CommitError::Unknown(failure.into()),
    })
}

/// Finds out whether the transaction with this fence was committed, and uses up its number.
pub(super) async fn settle(
    link: &Arc<Link>,
    key: LeaseKey,
    fence: Fence,
) -> Result<Settled, CommitError> {
    let mut tries = 0;
    loop {
        let mut variables = fence_variables(key, fence);
        variables.insert("other", other_nonce(fence.nonce));
        match link.query(SETTLE, variables).await {
            Ok(Value::Bool(true)) => return Ok(Settled::Committed),
            Ok(Value::Bool(false)) => return Ok(Settled::NotCommitted),
            Ok(value) => {
                let why = format!("settling answered `{value:?}`");
                return Err(CommitError::Unknown(why.into()));
            }
            // Most likely a conflict with the transaction in question; the next attempt sees what
            // it did.
            Err(Failure::Refused(_)) if tries < CONFLICT_TRIES => tries += 1,
            Err(Failure::Thrown(error)) if is_other_term(&error, fence) => {
                return Err(CommitError::Fenced(error.into()));
            }
            Err(failure) => return Err(CommitError::Unknown(failure.into())),
        }
    }
}

fn lease_variable(key: LeaseKey) -> Variables {
    let mut variables = Variables::new();
    variables.insert("lease", key.record());
    variables
}

pub(super) fn fence_variables(key: LeaseKey, fence: Fence) -> Variables {
    let mut variables = lease_variable(key);
    variables.insert("term", int(fence.term));
    variables.insert("number", int(fence.number));
    variables.insert("nonce", bits(fence.nonce));
    variables
}

/// A nonce that differs from `nonce` and, being random, from that of any other attempt.
fn other_nonce(nonce: u64) -> i64 {
    match getrandom::u64() {
        Ok(other) if other != nonce => bits(other),
        _ => bits(!nonce),
    }
}

fn number(value: Value) -> Option<i64> {
    i64::from_value(value).ok()
}

/// Whether a thrown error says that the lease is in another term than `fence`.
pub(super) fn is_other_term(thrown: &surrealdb::Error, fence: Fence) -> bool {
    lease_in(thrown.message()).is_some_and(|(term, _)| term != int(fence.term))
}

/// Parses the lease's term and number from a thrown error.
fn lease_in(thrown: &str) -> Option<(i64, i64)> {
    let (_, lease) = thrown.split_once(LEASE_IS)?;
    let (term, number) = lease.trim().strip_prefix('[')?.strip_suffix(']')?.split_once(',')?;
    Some((term.trim().parse().ok()?, number.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thrown_lease_can_be_parsed() {
        for statement in [
            ACQUIRE,
            COMMIT,
            COMMIT_WITH_SNAPSHOTS,
            COMMIT_WITH_KINDS,
            COMMIT_WITH_ERASURES,
            SETTLE,
        ] {
            assert!(statement.contains(&format!("THROW '{LEASE_IS}' + <string>")), "{statement}");
        }
        assert_eq!(lease_in("An error occurred: the lease is at [4, 17]"), Some((4, 17)));
        assert_eq!(lease_in("An error occurred: something else"), None);
    }

    #[test]
    fn the_nonce_that_uses_up_a_number_differs() {
        for nonce in [0, 7, u64::MAX] {
            assert_ne!(other_nonce(nonce), bits(nonce));
        }
    }
}
