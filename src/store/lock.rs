//! Locks the data directory, so that only one process uses it at a time.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::OpenError;

/// The name of the lock file in the data directory.
pub(super) const LOCK_FILE: &str = "greenroom.lock";

/// The mode of a data directory: full access for its owner, none for others.
const PRIVATE: u32 = 0o700;

/// The lock on a data directory. The system releases it when the process ends, however that
/// happens.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Creates the directory if it is missing, and locks it.
    ///
    /// # Errors
    /// If it cannot be created or written to, or another process has locked it.
    pub(super) fn take(directory: &Path) -> Result<Self, OpenError> {
        let unusable = |what: &'static str| {
            move |source: io::Error| OpenError::Directory {
                directory: directory.to_owned(),
                what,
                source,
            }
        };
        create(directory).map_err(unusable("create"))?;
        keep_private(directory);
        let path = directory.join(LOCK_FILE);
        let open = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path);
        let mut file = open.map_err(unusable("write to"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // The holder's pid is only a hint; without it the message is shorter.
                let read = file.read_to_string(&mut holder);
                let holder = holder.trim().parse::<u32>().ok().filter(|_| read.is_ok());
                return Err(OpenError::InUse { directory: directory.to_owned(), holder });
            }
            Err(TryLockError::Error(error)) => return Err(unusable("lock")(error)),
        }
        // Truncate first, or the end of an earlier holder's longer pid would remain.
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(unusable("write to"))?;
        Ok(Self { _file: file })
    }
}

/// Checks whether a missing directory could be created, by creating and removing a directory in its
/// nearest existing parent.
///
/// # Errors
/// Why it could not.
pub(super) fn can_be_created(directory: &Path) -> Result<(), OpenError> {
    let here = Path::new(".");
    let parents = directory
        .ancestors()
        .skip(1)
        .map(|parent| if parent.as_os_str().is_empty() { here } else { parent });
    let parent = parents.into_iter().find(|parent| parent.exists()).unwrap_or(here);
    let probe = parent.join(format!(".greenroom-check-{}", std::process::id()));
    DirBuilder::new()
        .mode(PRIVATE)
        .create(&probe)
        .and_then(|()| std::fs::remove_dir(&probe))
        .map_err(|source| OpenError::Directory {
            directory: directory.to_owned(),
            what: "create",
            source,
        })
}

/// Creates the directory if it is missing, accessible to nobody but this user. Missing parents get
/// the usual permissions: who may use them is not for us to decide.
fn create(directory: &Path) -> io::Result<()> {
    if let Some(parent) = directory.parent() {
        std::fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(PRIVATE).create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => Ok(()),
        made => made,
    }
}

/// Removes other users' access to the directory. They then cannot reach its files, whatever the
/// files' own modes.
fn keep_private(directory: &Path) {
    let tightened = std::fs::metadata(directory).and_then(|metadata| {
        let mode = metadata.permissions().mode() & 0o7777;
        let others = mode & 0o077;
        if others != 0 {
            std::fs::set_permissions(directory, Permissions::from_mode(mode & !0o077))?;
        }
        Ok((others != 0).then_some(mode))
    });
    match tightened {
        Ok(None) => {}
        Ok(Some(mode)) => {
            let mode = format!("{mode:04o}");
            tracing::info!(directory = %directory.display(), mode, "the data directory was accessible to other users and is now private");
        }
        // The directory belongs to another user or is on a volume without modes; that may be
        // intended.
        Err(error) => {
            let directory = directory.display();
            tracing::warn!(%directory, %error, "other users may be able to read the data directory, and its mode cannot be changed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_locked_once() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("new").join("data");
        let lock = DirectoryLock::take(&directory).unwrap();
        let error = DirectoryLock::take(&directory).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&format!("(pid {})", std::process::id())), "{text}");
        assert!(text.contains(&directory.display().to_string()), "{text}");
        drop(lock);
        DirectoryLock::take(&directory).unwrap();
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = DirectoryLock::take(file.path()).unwrap_err().to_string();
        assert!(
            text.contains("cannot create the data directory")
                && text.contains(&file.path().display().to_string()),
            "{text}"
        );
    }

    #[test]
    fn a_data_directory_is_private() {
        let parent = tempfile::tempdir().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let made = parent.path().join("between").join("made");
        let lock = DirectoryLock::take(&made).unwrap();
        assert_eq!((mode(&made), mode(&made.join(LOCK_FILE))), (0o700, 0o600));
        assert_ne!(mode(&parent.path().join("between")), 0o700, "its parents are created as usual");
        drop(lock);
        for before in [0o755, 0o777, 0o750, 0o701] {
            std::fs::set_permissions(&made, Permissions::from_mode(before)).unwrap();
            drop(DirectoryLock::take(&made).unwrap());
            assert_eq!(mode(&made), 0o700, "after {before:o}");
        }
        drop(DirectoryLock::take(Path::new(&format!("{}/", made.display()))).unwrap());
    }
}
