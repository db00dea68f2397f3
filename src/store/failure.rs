//! What a failed call means for what was written.

use surrealdb::types::{ErrorDetails, QueryError};

use super::error::Cause;

/// Why a call to the database failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The call never reached the database.
    #[error("{0}")]
    NotSent(#[source] Cause),
    /// The statement failed with `THROW`; its transaction was rolled back.
    #[error("{0}")]
    Thrown(#[source] surrealdb::Error),
    /// The database refused the call and rolled back: a conflict with another transaction, a key
    /// that already exists, a missing right.
    #[error("{0}")]
    Refused(#[source] surrealdb::Error),
    /// Anything else: the connection broke, the answer did not arrive in time, or the engine failed
    /// in the middle of the commit. The data may or may not have been written.
    #[error("{0}")]
    Lost(#[source] surrealdb::Error),
}

impl Failure {
    /// Whether a new connection might do better.
    ///
    /// A refusal for missing rights counts, because sessions on a server expire.
    pub(super) fn casts_doubt_on_connection(&self) -> bool {
        match self {
            Self::Lost(_) => true,
            Self::Thrown(error) | Self::Refused(error) => error.is_not_allowed(),
            Self::NotSent(_) => false,
        }
    }
}

/// Each statement is one block, and so one transaction: an error raised by the block itself has
/// rolled it back. An error that becomes `Lost` may just as well come from the commit. With
/// SurrealKV that happens when the flush to disk fails after the transaction was applied in memory:
/// the executor then reports `NotExecuted`, which is not true.
impl From<surrealdb::Error> for Failure {
    fn from(error: surrealdb::Error) -> Self {
        match error.details() {
            ErrorDetails::Thrown => Self::Thrown(error),
            ErrorDetails::Query(Some(QueryError::TransactionConflict))
            | ErrorDetails::AlreadyExists(_)
            | ErrorDetails::NotAllowed(_)
            | ErrorDetails::NotFound(_)
            | ErrorDetails::Validation(_) => Self::Refused(error),
            _ => Self::Lost(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use surrealdb::types::Error;

    use super::*;

    #[test]
    fn only_errors_that_certainly_rolled_back_are_refusals() {
        for (error, want) in [
            (Error::thrown("no".into()), "Thrown"),
            (Error::query("again".into(), QueryError::TransactionConflict), "Refused"),
            (Error::already_exists("twice".into(), None), "Refused"),
            // What a failed flush looks like.
            (Error::query("not executed".into(), QueryError::NotExecuted), "Lost"),
            (Error::internal("disk".into()), "Lost"),
            (Error::connection("gone".into(), None), "Lost"),
        ] {
            let text = error.message().to_owned();
            let failure = Failure::from(error);
            let variant = match failure {
                Failure::NotSent(_) => "NotSent",
                Failure::Thrown(_) => "Thrown",
                Failure::Refused(_) => "Refused",
                Failure::Lost(_) => "Lost",
            };
            assert_eq!((variant, failure.to_string()), (want, text));
        }
    }

    #[test]
    fn a_broken_connection_or_lost_rights_cast_doubt() {
        let doubtful = |error: Error| Failure::from(error).casts_doubt_on_connection();
        assert!(doubtful(Error::connection("gone".into(), None)));
        assert!(doubtful(Error::not_allowed("expired".into(), None)));
        assert!(!doubtful(Error::thrown("no".into())));
    }
}
