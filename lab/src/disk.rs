//! What a server keeps on disk, by the parts of its data directory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::path::Path;

/// The part to which files belong that lie in the directory itself.
const OTHER: &str = "other";

/// One look at a data directory: its parts are the directories in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Disk {
    /// The parts, by name.
    pub parts: BTreeMap<String, Part>,
}

/// One part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// The length of all its files.
    pub bytes: u64,
    /// Their names.
    pub files: BTreeSet<String>,
}

impl Disk {
    /// Looks at a directory. What goes away meanwhile is left out.
    pub fn look(dir: &Path) -> io::Result<Self> {
        let mut disk = Self::default();
        for (name, path, metadata) in entries(dir)? {
            if metadata.is_dir() {
                let part = disk.parts.entry(name).or_default();
                part.add(&path, "")?;
            } else {
                disk.parts.entry(OTHER.to_owned()).or_default().take(name, &metadata);
            }
        }
        Ok(disk)
    }

    /// The length of all files.
    pub fn bytes(&self) -> u64 {
        self.parts.values().map(|part| part.bytes).sum()
    }

    /// Files of a part that were there `before` and are gone.
    pub fn gone_since(&self, before: &Self, part: &str) -> u64 {
        let files =
            |disk: &Self| disk.parts.get(part).map(|part| part.files.clone()).unwrap_or_default();
        files(before).difference(&files(self)).count() as u64
    }
}

impl Part {
    fn add(&mut self, dir: &Path, within: &str) -> io::Result<()> {
        for (name, path, metadata) in entries(dir)? {
            let name = format!("{within}{name}");
            if metadata.is_dir() {
                self.add(&path, &format!("{name}/"))?;
            } else {
                self.take(name, &metadata);
            }
        }
        Ok(())
    }

    fn take(&mut self, name: String, metadata: &Metadata) {
        self.bytes += metadata.len();
        self.files.insert(name);
    }
}

/// What is in a directory, but for what has gone by the time it is looked at.
fn entries(dir: &Path) -> io::Result<Vec<(String, std::path::PathBuf, Metadata)>> {
    let there = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        there => there?,
    };
    let mut found = Vec::new();
    for entry in there {
        let entry = entry?;
        match entry.metadata() {
            Ok(metadata) => found.push((
                entry.file_name().to_string_lossy().into_owned(),
                entry.path(),
                metadata,
            )),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_summed_up_and_what_goes_is_noticed() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let write = |name: &str, bytes: usize| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().expect("it is in the directory"))
                .expect("it can be made");
            std::fs::write(path, vec![0; bytes]).expect("it can be written");
        };
        write("LOCK", 5);
        write("wal/1.wal", 100);
        write("sstables/1.sst", 30);
        write("sstables/deep/2.sst", 40);
        let before = Disk::look(dir.path()).expect("it can be read");
        let sizes: Vec<_> = before
            .parts
            .iter()
            .map(|(name, part)| (name.as_str(), part.bytes, part.files.len()))
            .collect();
        assert_eq!(sizes, [("other", 5, 1), ("sstables", 70, 2), ("wal", 100, 1)]);
        assert_eq!(before.bytes(), 175);

        std::fs::remove_file(dir.path().join("sstables/1.sst")).expect("it is there");
        write("sstables/3.sst", 60);
        let after = Disk::look(dir.path()).expect("it can be read");
        assert_eq!(
            (after.gone_since(&before, "sstables"), after.gone_since(&before, "wal")),
            (1, 0)
        );
        assert_eq!(after.gone_since(&before, "nothing"), 0);
        assert_eq!(
            Disk::look(&dir.path().join("gone")).expect("it need not be there yet").bytes(),
            0
        );
    }
}
