//! Replaces the files of a database with the rewritten ones.
//!
//! Everything happens inside the data directory, which may be a mount point. Renames are atomic,
//! and a state file records which step is in progress, so the next process to open the directory
//! can finish what a crash interrupted: [`finish`].

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::lock::LOCK_FILE;

/// Where the new files are written.
const NEW: &str = "rewriting";
/// Where the old files go until the new ones are in place.
const OLD: &str = "replaced";
/// The file that records the current step.
const STATE: &str = "rewrite.state";
const NEXT_STATE: &str = "rewrite.state.new";

/// The step in progress, as recorded in the state file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The old files are moved to [`OLD`].
    Out,
    /// The new files are moved out of [`NEW`].
    In,
    /// [`OLD`] is removed.
    Tidy,
}

impl Phase {
    const ALL: [Self; 3] = [Self::Out, Self::In, Self::Tidy];

    fn word(self) -> &'static str {
        match self {
            Self::Out => "moving the old files out",
            Self::In => "moving the new files in",
            Self::Tidy => "removing the old files",
        }
    }
}

/// Where to write the new files.
pub(super) fn new_directory(directory: &Path) -> PathBuf {
    directory.join(NEW)
}

/// Removes the new files of a rewrite that was interrupted before they were complete.
///
/// # Errors
/// If that is not possible, or old files of unknown origin are in the way.
pub(super) fn discard(directory: &Path) -> io::Result<()> {
    if directory.join(OLD).exists() {
        let why = format!(
            "`{OLD}` is in the way; Greenroom uses that name when it rewrites the database"
        );
        return Err(io::Error::new(ErrorKind::AlreadyExists, why));
    }
    remove(&directory.join(NEW))
}

/// Replaces the old files with the new ones, once those are complete.
///
/// # Errors
/// If that is not possible; [`finish`] resumes from there.
pub(super) fn begin(directory: &Path) -> io::Result<()> {
    flush_all(&directory.join(NEW))?;
    enter(directory, Phase::Out)?;
    finish(directory).map(drop)
}

/// Finishes what [`begin`] started, if anything. Returns whether there was anything to finish.
///
/// # Errors
/// If that is not possible; it may be tried again.
pub(super) fn finish(directory: &Path) -> io::Result<bool> {
    finish_with(directory, &mut || Ok(()))
}

/// Like [`finish`], but calls `before` ahead of each change, for tests: if it fails, so does this.
fn finish_with(directory: &Path, before: &mut impl FnMut() -> io::Result<()>) -> io::Result<bool> {
    let mut found = false;
    while let Some(phase) = phase(directory)? {
        found = true;
        let old = directory.join(OLD);
        let new = directory.join(NEW);
        match phase {
            Phase::Out => {
                fs::create_dir_all(&old)?;
                for name in names(directory)? {
                    before()?;
                    fs::rename(directory.join(&name), old.join(&name))?;
                }
                flush(&old)?;
                flush(directory)?;
                before()?;
                enter(directory, Phase::In)?;
            }
            Phase::In => {
                for name in names(&new)? {
                    before()?;
                    fs::rename(new.join(&name), directory.join(&name))?;
                }
                flush(directory)?;
                before()?;
                enter(directory, Phase::Tidy)?;
            }
            Phase::Tidy => {
                before()?;
                remove(&old)?;
                before()?;
                remove(&new)?;
                flush(directory)?;
                before()?;
                fs::remove_file(directory.join(STATE))?;
                flush(directory)?;
            }
        }
    }
    Ok(found)
}

fn phase(directory: &Path) -> io::Result<Option<Phase>> {
    match fs::read_to_string(directory.join(STATE)) {
        Ok(text) => match Phase::ALL.into_iter().find(|phase| phase.word() == text.trim()) {
            Some(phase) => Ok(Some(phase)),
            None => Err(io::Error::new(
                ErrorKind::InvalidData,
                format!("`{STATE}` says `{}`, which is not a step of a rewrite", text.trim()),
            )),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn enter(directory: &Path, phase: Phase) -> io::Result<()> {
    let next = directory.join(NEXT_STATE);
    let mut file = File::create(&next)?;
    writeln!(file, "{}", phase.word())?;
    file.sync_all()?;
    fs::rename(next, directory.join(STATE))?;
    flush(directory)
}

/// The names in a directory, except those that belong to the rewrite itself.
fn names(directory: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        if ![LOCK_FILE, NEW, OLD, STATE, NEXT_STATE].iter().any(|own| name == *own) {
            names.push(name);
        }
    }
    Ok(names)
}

fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn flush(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn flush_all(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() { flush_all(&path)? } else { flush(&path)? }
    }
    flush(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A directory with two old files, a new file with the name of one of them, and a new file with
    /// a name of its own.
    fn prepared() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path();
        for (name, text) in [
            (LOCK_FILE, "7"),
            ("wal/0", "old"),
            ("only-old", "old"),
            ("rewriting/wal/0", "new"),
            ("rewriting/vlog/0", "new"),
        ] {
            write(&data.join(name), text);
        }
        directory
    }

    fn assert_swapped(data: &Path) {
        let mut names: Vec<_> = fs::read_dir(data)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        assert_eq!(names, [LOCK_FILE, "vlog", "wal"]);
        for file in ["wal/0", "vlog/0"] {
            assert_eq!(fs::read_to_string(data.join(file)).unwrap(), "new", "{file}");
        }
    }

    #[test]
    fn new_files_replace_old_ones() {
        let directory = prepared();
        begin(directory.path()).unwrap();
        assert_swapped(directory.path());
        assert!(!finish(directory.path()).unwrap(), "there is nothing left to finish");
    }

    /// Runs until just before change number `last`. Returns whether everything was done by then.
    fn finish_until(directory: &Path, last: usize) -> bool {
        let mut changes = 0..last;
        finish_with(directory, &mut || {
            changes.next().map(drop).ok_or_else(|| io::Error::other("a crash"))
        })
        .is_ok()
    }

    #[test]
    fn an_interrupted_swap_is_finished_later() {
        let begun = || {
            let directory = prepared();
            enter(directory.path(), Phase::Out).unwrap();
            directory
        };
        let changes = (0..).find(|last| finish_until(begun().path(), *last)).unwrap();
        assert!(changes >= 8, "only {changes} changes");
        // Interrupt it before one change, again some changes later, and then let it finish.
        for first in 0..changes {
            for second in 0..=changes {
                let directory = begun();
                assert!(!finish_until(directory.path(), first));
                if !finish_until(directory.path(), second) {
                    assert!(finish(directory.path()).unwrap());
                }
                assert_swapped(directory.path());
            }
        }
    }

    #[test]
    fn incomplete_new_files_are_discarded() {
        let directory = prepared();
        assert!(!finish(directory.path()).unwrap(), "no swap has begun");
        discard(directory.path()).unwrap();
        assert!(!directory.path().join(NEW).exists());
        assert_eq!(fs::read_to_string(directory.path().join("wal/0")).unwrap(), "old");
        fs::create_dir(directory.path().join(OLD)).unwrap();
        assert!(discard(directory.path()).unwrap_err().to_string().contains(OLD));
    }
}
