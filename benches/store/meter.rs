//! CPU time of this process, and bytes in a directory.

use std::path::Path;

use super::Result;

/// Linux counts CPU time in these.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU seconds of all threads of this process.
#[derive(Debug, Clone, Copy)]
pub struct Cpu {
    /// In the program.
    pub user: f64,
    /// In the kernel on its behalf.
    pub system: f64,
}

impl Cpu {
    /// What was spent so far.
    ///
    /// # Errors
    /// Where there is no `/proc` of Linux.
    pub fn now() -> Result<Self> {
        let stat = std::fs::read_to_string("/proc/self/stat")?;
        // The name in parentheses may hold anything; `utime` and `stime` are the 12th and 13th
        // field after it.
        let (_, fields) = stat.rsplit_once(')').ok_or("`/proc/self/stat` names no program")?;
        let mut times = fields.split_whitespace().skip(11).map(str::parse::<u64>);
        let mut next = || -> Result<f64> {
            Ok(times.next().ok_or("`/proc/self/stat` is short")?? as f64 / TICKS_PER_SECOND)
        };
        Ok(Self { user: next()?, system: next()? })
    }

    /// What was spent since `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self { user: self.user - earlier.user, system: self.system - earlier.system }
    }
}

/// The sum of the sizes of all files below `directory`.
///
/// # Errors
/// Where it cannot be read.
pub fn bytes_in(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        // The engine removes files as it goes, and one that is gone counts for nothing.
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += if metadata.is_dir() { bytes_in(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}
