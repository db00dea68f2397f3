//! Rewrites the journal rows from which a transaction erases the bodies of deleted messages.

use std::sync::Arc;

use greenroom_actors::store::{CommitError, Rewrite, StoreError, erase};
use greenroom_protocol::Seq;
use surrealdb::types::{SurrealValue, Value};

use super::error::Cause;
use super::link::Link;
use super::read;
use super::rows::{RewriteRecord, done};

/// The rows to rewrite could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the rows to erase from: {0}")]
struct NotRead(#[source] Cause);

/// The rewritten rows, and the keys of the erasure notes that are no longer needed.
pub(super) async fn rewritten(
    link: &Arc<Link>,
    rewrites: &[Rewrite],
) -> Result<(Vec<Value>, Vec<Value>), CommitError> {
    let mut rows = Vec::new();
    let mut notes = Vec::new();
    for rewrite in rewrites {
        // If a row cannot be read, the notes stay for the entity's next life.
        if let Some(readable) = rewrite_rows(link, rewrite).await? {
            rows.extend(readable.into_iter().map(SurrealValue::into_value));
            notes.extend(done(rewrite).map(SurrealValue::into_value));
        }
    }
    Ok((rows, notes))
}

/// The rows after a rewrite. Nobody else writes them before this transaction: commits do not
/// overlap, and if another process has taken the lease meanwhile, this one fails.
async fn rewrite_rows(
    link: &Arc<Link>,
    rewrite: &Rewrite,
) -> Result<Option<Vec<RewriteRecord>>, CommitError> {
    let Rewrite { entity, events: erased, .. } = rewrite;
    let seqs: Vec<Seq> = erased.iter().map(|(seq, _)| *seq).collect();
    let rows = match read::rows_with(link, entity, &seqs).await {
        Ok(rows) => rows,
        Err(StoreError::Unavailable(why)) => {
            return Err(CommitError::Failed(NotRead(why).into()));
        }
        Err(StoreError::Corrupt(why)) => return Ok(unreadable(&why)),
    };
    let entity = entity.clone();
    let erased = erased.clone();
    let work = move || -> Result<Vec<RewriteRecord>, serde_json::Error> {
        rows.into_iter()
            .map(|(first, events)| Ok(RewriteRecord::new(&entity, first, erase(&events, &erased)?)))
            .collect()
    };
    let rewritten = link.compute(work).await.map_err(|ended| CommitError::Failed(ended.into()))?;
    Ok(rewritten.map_or_else(|error| unreadable(&error), Some))
}

/// Other entities' ops are in the same transaction, so an unreadable row does not fail it. Its
/// entity cannot be loaded either.
fn unreadable(why: &dyn std::fmt::Display) -> Option<Vec<RewriteRecord>> {
    tracing::error!(%why, "cannot erase a deleted body: the journal row cannot be read");
    None
}
