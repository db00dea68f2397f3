//! Measures the CPU time of this process, and the bytes in a directory.

use std::path::Path;

use super::Result;

/// The unit in which Linux counts CPU time.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU seconds of all threads of this process.
#[derive(Debug, Clone, Copy)]
pub struct Cpu {
    /// Spent in the program.
    pub user: f64,
    /// Spent in the kernel on its behalf.
    pub system: f64,
}

impl Cpu {
    /// The CPU time so far.
    ///
    /// # Errors
    /// If there is no Linux `/proc`.
    pub fn now() -> Result<Self> {
        let stat = std::fs::read_to_string("/proc/self/stat")?;
        // The name in parentheses may contain anything; `utime` and `stime` are the 12th and 13th
        // fields after it.
        let (_, fields) =
            stat.rsplit_once(')').ok_or("`/proc/self/stat` does not name a program")?;
        let mut times = fields.split_whitespace().skip(11).map(str::parse::<u64>);
        let mut next = || -> Result<f64> {
            Ok(times.next().ok_or("`/proc/self/stat` is too short")?? as f64 / TICKS_PER_SECOND)
        };
        Ok(Self { user: next()?, system: next()? })
    }

    /// The CPU time since `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self { user: self.user - earlier.user, system: self.system - earlier.system }
    }
}

/// The total size of all files below `directory`.
///
/// # Errors
/// If the directory cannot be read.
pub fn bytes_in(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        // The engine removes files while running; a file that is gone does not count.
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += if metadata.is_dir() { bytes_in(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}
