//! The data directory, held by one process at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::Path;

use super::OpenError;

/// The name of the lock file in the data directory.
pub(super) const LOCK_FILE: &str = "greenroom.lock";

/// The lock on a data directory. The system releases it with the process, however that ends.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Makes the directory where it is missing, and takes it.
    ///
    /// # Errors
    /// Where it cannot be made or written to, or another process has it.
    pub(super) fn take(directory: &Path) -> Result<Self, OpenError> {
        let unusable = |what: &'static str| {
            move |error: std::io::Error| OpenError::Directory { directory: directory.to_owned(), what, reason: error.to_string() }
        };
        std::fs::create_dir_all(directory).map_err(unusable("create"))?;
        let path = directory.join(LOCK_FILE);
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(unusable("write to"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // The holder's name is a help and no more: without it the message is shorter.
                let read = file.read_to_string(&mut holder);
                let holder = holder.trim().parse::<u32>().ok().filter(|_| read.is_ok());
                return Err(OpenError::InUse { directory: directory.to_owned(), holder });
            }
            Err(TryLockError::Error(error)) => return Err(unusable("lock")(error)),
        }
        // Only the text is the holder's number: longer ones of earlier holders must not shine through.
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(unusable("write to"))?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_taken_once() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("new").join("data");
        let lock = DirectoryLock::take(&directory).unwrap();
        let error = DirectoryLock::take(&directory).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&format!("(number {})", std::process::id())), "{text}");
        assert!(text.contains(&directory.display().to_string()), "{text}");
        drop(lock);
        DirectoryLock::take(&directory).unwrap();
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = DirectoryLock::take(file.path()).unwrap_err().to_string();
        assert!(text.contains("cannot create the data directory") && text.contains(&file.path().display().to_string()), "{text}");
    }
}
