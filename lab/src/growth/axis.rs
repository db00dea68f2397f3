//! The axes: what grows, from where to where, and what is measured on the way.

use std::str::FromStr;

use clap::ValueEnum;
use serde::Serialize;

/// Each size is so many times the one before.
const STEP: u64 = 10;
/// Files that a process has open besides its connections, those of the probes among them.
const OTHER_FILES: u64 = 1_000;

/// What grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    /// Idle connections
    Connections,
    /// Entities that are awake
    Entities,
    /// Members of one room
    Room,
    /// Events in one room's log
    History,
    /// Events on disk, over many rooms
    Database,
}

/// The largest size of an axis, as it is typed: `history=1000000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Most {
    axis: Axis,
    size: u64,
}

/// Figures of one unit, which share a table: its title, the figures' names, and whether they are
/// drawn.
pub type Group = (&'static str, &'static [&'static str], bool);

/// How many ops shared a commit. CPU time per op can be compared between two sizes only where this
/// is the same.
const COMMITS: Group = ("commits", &["ops/commit"], false);
const MEMORY: Group = ("memory", &["resident MiB"], true);

impl Axis {
    /// All of them, in the order of a report.
    pub const ALL: [Self; 5] =
        [Self::Connections, Self::Entities, Self::Room, Self::History, Self::Database];

    /// Its name on the command line and in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Entities => "entities",
            Self::Room => "room",
            Self::History => "history",
            Self::Database => "database",
        }
    }

    /// What its sizes count.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Connections => "idle connections",
            Self::Entities => "entities awake",
            Self::Room => "members",
            Self::History => "events in the log",
            Self::Database => "events on disk",
        }
    }

    /// Its smallest size, and its largest one unless another is asked for.
    const fn range(self) -> (u64, u64) {
        match self {
            Self::Connections => (180, 18_000),
            Self::Entities => (1_000, 100_000),
            Self::Room => (10, 10_000),
            Self::History => (1_000, 100_000),
            Self::Database => (10_000, 1_000_000),
        }
    }

    /// The sizes to measure where a process may have `files` open.
    pub fn sizes(self, most: &[Most], files: u64) -> Vec<u64> {
        let (first, last) = self.range();
        let last = most.iter().rev().find(|most| most.axis == self).map_or(last, |most| most.size);
        let connects = matches!(self, Self::Connections | Self::Room);
        let last = if connects { last.min(files.saturating_sub(OTHER_FILES)) } else { last };
        std::iter::successors(Some(first), |size| size.checked_mul(STEP))
            .take_while(|size| *size <= last)
            .collect()
    }

    /// What is measured at each size.
    pub const fn groups(self) -> &'static [Group] {
        match self {
            Self::Connections | Self::Entities => &[
                ("server CPU", &["µs/op", "µs/delivery", "idle µs/s"], true),
                COMMITS,
                ("latency", &["ack p99 ms", "delivery p99 ms"], true),
                MEMORY,
            ],
            Self::Room => &[
                ("server CPU", &["µs/delivery of signals", "µs/delivery of posts"], true),
                ("latency", &["signals p99 ms", "posts p99 ms"], true),
                MEMORY,
            ],
            Self::History => &[
                ("server CPU", &["µs/op", "µs/subscribe", "µs/cold subscribe", "µs/page"], true),
                COMMITS,
                (
                    "latency",
                    &["ack p99 ms", "subscribe p99 ms", "cold subscribe ms", "page p99 ms"],
                    true,
                ),
                MEMORY,
            ],
            Self::Database => &[
                ("server CPU", &["µs/op", "µs/op while filling", "µs/cold read"], true),
                COMMITS,
                ("latency", &["ack p99 ms", "cold read p99 ms", "start ms"], true),
                ("memory and disk", &["resident MiB", "settling MiB", "data directory MiB"], true),
            ],
        }
    }
}

impl FromStr for Most {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (axis, size) =
            text.split_once('=').ok_or_else(|| format!("`{text}` is not `AXIS=N`"))?;
        let axis = Axis::from_str(axis, false)?;
        let size = size.parse().map_err(|error| format!("`{size}`: {error}"))?;
        let (first, _) = axis.range();
        if size < first {
            return Err(format!("`{}` begins with {first}", axis.name()));
        }
        Ok(Self { axis, size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_tenfold_and_fit() {
        assert_eq!(Axis::Connections.sizes(&[], 20_000), [180, 1_800, 18_000]);
        assert_eq!(Axis::Connections.sizes(&[], 4_096), [180, 1_800], "each connection is a file");
        assert_eq!(
            Axis::Database.sizes(&[], 4_096),
            [10_000, 100_000, 1_000_000],
            "an event is none"
        );
        let most = ["history=1000000", "room=100"].map(|text| text.parse().expect("it is valid"));
        assert_eq!(Axis::History.sizes(&most, 20_000), [1_000, 10_000, 100_000, 1_000_000]);
        assert_eq!(Axis::Room.sizes(&most, 20_000), [10, 100]);
    }

    #[test]
    fn a_largest_size_is_checked() {
        for text in ["history", "history=", "history=x", "history=10", "nothing=1000", "history=-1"]
        {
            assert!(text.parse::<Most>().is_err(), "{text}");
        }
    }

    #[test]
    fn axes_are_typed_as_they_are_named() {
        for axis in Axis::ALL {
            assert_eq!(Axis::from_str(axis.name(), false), Ok(axis));
        }
    }
}
