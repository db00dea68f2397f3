//! SurrealKV's log of what is not yet in its tables, and two ways in which it would lose what is in
//! there.
//!
//! **A torn end.** A process that dies while it appends leaves half a record behind. SurrealKV 0.21
//! reads such a log up to there, and then appends to the same file: what the next process commits
//! comes after the torn record. When that one dies too, the log is found broken in the middle, and
//! all after that place is dropped: commits that had been acknowledged. So a log that is left over
//! is never appended to. The database is opened and closed once, which moves the log's content to
//! the tables and removes it, before it is opened for use.
//!
//! **An unfinished repair.** See [`remove_unfinished_repair`].

use std::io::ErrorKind;
use std::path::Path;

use super::OpenError;

/// Whether the last process left a log behind: it died, or could not write its log back when it
/// closed.
pub(super) fn is_left(directory: &Path) -> bool {
    // No directory, no log. One that cannot be read will fail the engine, with its own words.
    let Ok(entries) = std::fs::read_dir(directory.join("wal")) else { return false };
    entries
        .flatten()
        .any(|entry| entry.metadata().is_ok_and(|file| file.is_file() && file.len() > 0))
}

/// Removes the copy that a repair of the log was making when it was interrupted.
///
/// SurrealKV copies the readable part of a torn log and puts the copy in its place. It leaves a
/// copy that it could not finish, for want of space or because it was killed, and appends the next
/// one to it: that puts a torn log in the place of a good one. Until the copy is put in place the
/// log itself is as it was, so the copy can go.
pub(super) fn remove_unfinished_repair(directory: &Path) -> Result<(), OpenError> {
    let copy = directory.join("wal").join("repair_temp");
    match std::fs::remove_dir_all(&copy) {
        Ok(()) => {
            tracing::warn!(copy = %copy.display(), "removed an unfinished repair of the log");
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(OpenError::Directory {
            directory: directory.to_owned(),
            what: "tidy up",
            reason: error.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_log_is_none() {
        let directory = tempfile::tempdir().unwrap();
        assert!(!is_left(directory.path()));
        let log = directory.path().join("wal");
        std::fs::create_dir(&log).unwrap();
        std::fs::write(log.join("0.wal"), b"").unwrap();
        assert!(!is_left(directory.path()));
        std::fs::write(log.join("1.wal"), b"x").unwrap();
        assert!(is_left(directory.path()));
    }

    #[test]
    fn an_unfinished_repair_goes_and_the_log_stays() {
        let directory = tempfile::tempdir().unwrap();
        remove_unfinished_repair(directory.path()).unwrap();
        let copy = directory.path().join("wal").join("repair_temp");
        std::fs::create_dir_all(&copy).unwrap();
        std::fs::write(copy.join("0.wal"), b"half of it").unwrap();
        std::fs::write(directory.path().join("wal").join("0.wal"), b"all of it").unwrap();
        remove_unfinished_repair(directory.path()).unwrap();
        assert!(!copy.exists() && is_left(directory.path()));
    }
}
