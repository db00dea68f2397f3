//! The rows of the journal out of which a transaction takes the bodies of deleted messages.

use std::sync::Arc;

use greenroom_actors::store::{CommitError, Rewrite, StoreError, erase};
use greenroom_protocol::Seq;
use surrealdb::types::{SurrealValue, Value};

use super::link::Link;
use super::read;
use super::rows::{RewriteRecord, done};

/// The rows as these rewrites want them, and the notes that are done with.
pub(super) async fn rewritten(
    link: &Arc<Link>,
    rewrites: &[Rewrite],
) -> Result<(Vec<Value>, Vec<Value>), CommitError> {
    let (mut rows, mut notes) = (Vec::new(), Vec::new());
    for rewrite in rewrites {
        // Where a row cannot be read the notes stay, for the next life of the entity.
        if let Some(readable) = rewrite_rows(link, rewrite).await? {
            rows.extend(readable.into_iter().map(SurrealValue::into_value));
            notes.extend(done(rewrite).map(SurrealValue::into_value));
        }
    }
    Ok((rows, notes))
}

/// The rows of a rewrite as they are to be. Nobody else writes them before this transaction does:
/// commits do not overlap, and who has taken the lease meanwhile makes this one fail.
async fn rewrite_rows(
    link: &Arc<Link>,
    rewrite: &Rewrite,
) -> Result<Option<Vec<RewriteRecord>>, CommitError> {
    let Rewrite { entity, events: erased, .. } = rewrite;
    let seqs: Vec<Seq> = erased.iter().map(|(seq, _)| *seq).collect();
    let rows = match read::rows_with(link, entity, &seqs).await {
        Ok(rows) => rows,
        Err(StoreError::Unavailable(why)) => {
            return Err(CommitError::Failed(format!("cannot read what is to be erased: {why}")));
        }
        Err(StoreError::Corrupt(why)) => return Ok(unreadable(why)),
    };
    let (entity, erased) = (entity.clone(), erased.clone());
    let work = move || -> Result<Vec<RewriteRecord>, serde_json::Error> {
        rows.into_iter()
            .map(|(first, events)| Ok(RewriteRecord::new(&entity, first, erase(&events, &erased)?)))
            .collect()
    };
    let rewritten = link.compute(work).await.map_err(CommitError::Failed)?;
    Ok(rewritten.map_or_else(|error| unreadable(error.to_string()), Some))
}

/// Other entities' ops are in the same transaction, so what cannot be read does not fail it. Its
/// entity cannot be loaded either.
fn unreadable(why: String) -> Option<Vec<RewriteRecord>> {
    tracing::error!(%why, "a deleted body cannot be erased: the journal's row cannot be read");
    None
}
