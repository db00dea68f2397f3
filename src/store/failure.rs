//! What a failed call means for what was written.

use surrealdb::types::{ErrorDetails, QueryError};

/// Why a call to the database failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// The call never reached the database.
    #[error("{0}")]
    NotSent(String),
    /// The statement failed with `THROW`; its transaction was rolled back.
    #[error("{0}")]
    Thrown(String),
    /// The database refused the call and rolled back: a conflict with another transaction, a key
    /// that already exists, a missing right.
    #[error("{0}")]
    Refused(String),
    /// Anything else: the connection broke, the answer did not arrive in time, or the engine failed
    /// in the middle of the commit. The data may or may not have been written.
    #[error("{0}")]
    Lost(String),
}

impl Failure {
    /// Whether a new connection might do better.
    ///
    /// A refusal for missing rights counts, because sessions on a server expire.
    pub(super) fn casts_doubt_on_connection(error: &surrealdb::Error) -> bool {
        error.is_not_allowed() || matches!(Self::from(error), Self::Lost(_))
    }
}

/// Each statement is one block, and so one transaction: an error raised by the block itself has
/// rolled it back. An error that becomes `Lost` may just as well come from the commit. With
/// SurrealKV that happens when the flush to disk fails after the transaction was applied in memory:
/// the executor then reports `NotExecuted`, which is not true.
impl From<&surrealdb::Error> for Failure {
    fn from(error: &surrealdb::Error) -> Self {
        let text = error.message().to_owned();
        match error.details() {
            ErrorDetails::Thrown => Self::Thrown(text),
            ErrorDetails::Query(Some(QueryError::TransactionConflict))
            | ErrorDetails::AlreadyExists(_)
            | ErrorDetails::NotAllowed(_)
            | ErrorDetails::NotFound(_)
            | ErrorDetails::Validation(_) => Self::Refused(text),
            _ => Self::Lost(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use surrealdb::types::Error;

    use super::*;

    #[test]
    fn only_errors_that_certainly_rolled_back_are_refusals() {
        let of = |error: Error| Failure::from(&error);
        assert_eq!(of(Error::thrown("no".into())), Failure::Thrown("no".into()));
        assert_eq!(
            of(Error::query("again".into(), QueryError::TransactionConflict)),
            Failure::Refused("again".into())
        );
        assert_eq!(
            of(Error::already_exists("twice".into(), None)),
            Failure::Refused("twice".into())
        );
        // What a failed flush looks like.
        assert_eq!(
            of(Error::query("not executed".into(), QueryError::NotExecuted)),
            Failure::Lost("not executed".into())
        );
        assert_eq!(of(Error::internal("disk".into())), Failure::Lost("disk".into()));
        assert_eq!(of(Error::connection("gone".into(), None)), Failure::Lost("gone".into()));
    }

    #[test]
    fn a_broken_connection_or_lost_rights_cast_doubt() {
        assert!(Failure::casts_doubt_on_connection(&Error::connection("gone".into(), None)));
        assert!(Failure::casts_doubt_on_connection(&Error::not_allowed("expired".into(), None)));
        assert!(!Failure::casts_doubt_on_connection(&Error::thrown("no".into())));
    }
}
