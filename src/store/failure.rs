//! What a failed call says about what was written.

use surrealdb::types::{ErrorDetails, QueryError};

/// Why a call to the database brought nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// It never reached the database.
    #[error("{0}")]
    NotSent(String),
    /// The statement itself said so, with `THROW`; its transaction was rolled back.
    #[error("{0}")]
    Thrown(String),
    /// The database refused it and rolled back: a conflict with another transaction, a key that
    /// exists, a right that is missing.
    #[error("{0}")]
    Refused(String),
    /// Anything else. The connection broke, the answer did not come in time, or the engine failed
    /// in the midst of the commit: it may be written or not.
    #[error("{0}")]
    Lost(String),
}

impl Failure {
    /// Whether another connection may do better.
    ///
    /// A refusal for want of rights counts: sessions on a server expire.
    pub(super) fn casts_doubt_on_connection(error: &surrealdb::Error) -> bool {
        error.is_not_allowed() || matches!(Self::from(error), Self::Lost(_))
    }
}

/// Each statement is one block, and so one transaction: an error that the block itself raised has
/// rolled it back. An error that `Lost` is made from may as well come from the commit. With
/// SurrealKV that is the case when the flush to the disk failed, after the transaction was applied
/// in memory, and the executor then says `NotExecuted`, which is not true.
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
    fn only_what_was_rolled_back_for_certain_is_refused() {
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
    fn a_connection_is_doubted_when_it_breaks_or_loses_its_rights() {
        assert!(Failure::casts_doubt_on_connection(&Error::connection("gone".into(), None)));
        assert!(Failure::casts_doubt_on_connection(&Error::not_allowed("expired".into(), None)));
        assert!(!Failure::casts_doubt_on_connection(&Error::thrown("no".into())));
    }
}
