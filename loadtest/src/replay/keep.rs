//! What was acknowledged, written down line by line as it happens.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::Mutex;

use anyhow::{Context, Result};
use greenroom_protocol::{EntityId, Seq};
use serde::{Deserialize, Serialize};

/// The body of a post: its text, and which line of the log it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What was said.
    pub text: String,
    /// Its place among the lines of its log, from 0.
    pub line: usize,
}

/// One acknowledged post; a line of JSON in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acked {
    /// The room.
    pub entity: EntityId,
    /// The room's log.
    pub epoch: String,
    /// Where the post is in it.
    pub seq: Seq,
    /// The post.
    pub body: Line,
}

/// Writes a file of acknowledged posts. Each is handed to the system at once, so that nothing is
/// missing if this process is killed.
pub struct Keeper {
    file: Mutex<File>,
}

impl Keeper {
    /// Starts a new file.
    ///
    /// # Errors
    /// Where it cannot be created.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::create(path)
            .with_context(|| format!("`{}` cannot be created", path.display()))?;
        Ok(Self { file: Mutex::new(file) })
    }

    /// Writes one down.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn keep(&self, acked: &Acked) -> Result<()> {
        let mut line = serde_json::to_vec(acked)?;
        line.push(b'\n');
        self.file
            .lock()
            .expect("no holder panics")
            .write_all(&line)
            .context("what was acknowledged cannot be written down")
    }
}

/// Reads a file of acknowledged posts.
///
/// # Errors
/// Where it cannot be read, or a line is not what a [`Keeper`] writes.
pub fn read(path: &Path) -> Result<Vec<Acked>> {
    let file = File::open(path).with_context(|| format!("`{}` cannot be read", path.display()))?;
    let lines = BufReader::new(file).lines().enumerate();
    lines
        .map(|(i, line)| {
            serde_json::from_str(&line?).with_context(|| {
                format!("line {} of `{}` is not understood", i + 1, path.display())
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let keeper = Keeper::create(file.path()).expect("it can be created");
        let acked: Vec<_> = (0..3)
            .map(|line| Acked {
                entity: "room:a".parse().expect("it is an entity id"),
                epoch: "e".into(),
                seq: line as u64 + 1,
                body: Line { text: "ein \"Text\"\n".into(), line },
            })
            .collect();
        acked.iter().for_each(|acked| keeper.keep(acked).expect("it can be written"));
        assert_eq!(read(file.path()).expect("it can be read"), acked);
        std::fs::write(file.path(), "{\n").expect("it can be written");
        assert!(read(file.path()).expect_err("it is no JSON").to_string().starts_with("line 1 of"));
    }
}
