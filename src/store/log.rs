//! SurrealKV's log of what is not yet in its tables, and two ways in which SurrealKV would lose
//! what the log holds.
//!
//! **A torn end.** A process that dies while appending leaves half a record behind. SurrealKV 0.21
//! reads such a log up to that record and then appends to the same file, so whatever the next
//! process commits comes after the torn record. When that process dies too, the log turns out to be
//! broken in the middle, and everything after that point is dropped, including acknowledged
//! commits. So a leftover log is never appended to: before the database is opened for use, it is
//! opened and closed once, which moves the log's contents to the tables and removes the log.
//!
//! **An unfinished repair.** See [`remove_unfinished_repair`].

use std::io::ErrorKind;
use std::path::Path;

use super::OpenError;

/// Whether the last process left a log behind, because it died or could not write the log back when
/// it closed.
pub(super) fn is_left(directory: &Path) -> bool {
    // Without the directory there is no log. If the directory cannot be read, the engine fails with
    // an error of its own.
    let Ok(entries) = std::fs::read_dir(directory.join("wal")) else { return false };
    entries
        .flatten()
        .any(|entry| entry.metadata().is_ok_and(|file| file.is_file() && file.len() > 0))
}

/// Removes the copy that an interrupted repair of the log left behind.
///
/// SurrealKV copies the readable part of a torn log and puts the copy in its place. If it cannot
/// finish the copy, because the disk is full or the process is killed, it leaves it and appends the
/// next one to it, so that a torn log replaces a good one. Until the copy is put in place the log
/// itself is unchanged, so the copy can be removed.
pub(super) fn remove_unfinished_repair(directory: &Path) -> Result<(), OpenError> {
    let copy = directory.join("wal").join("repair_temp");
    match std::fs::remove_dir_all(&copy) {
        Ok(()) => {
            tracing::warn!(copy = %copy.display(), "removed an unfinished repair of the log");
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(source) => {
            Err(OpenError::Directory { directory: directory.to_owned(), what: "clean up", source })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_log_does_not_count() {
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
    fn an_unfinished_repair_is_removed_and_the_log_stays() {
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
