//! Which of many equal log lines are written: a few for each reason in each interval, so that
//! nobody can fill a disk by being refused. The others are counted, and the next line says how many
//! there were.

use std::sync::{Mutex, PoisonError};

use crate::clock::Mono;

/// Lines for one reason in one interval.
const MOST: u32 = 5;
/// The interval, in ms.
const EVERY: u64 = 10_000;

/// Those of this process.
pub static NOTICES: Notices = Notices::new();

/// What was written and left out, by reason. Reasons are constants of the program, so there are a
/// few dozen of them at most.
#[derive(Debug)]
pub struct Notices(Mutex<Vec<(&'static str, Interval)>>);

#[derive(Debug)]
struct Interval {
    began: Mono,
    written: u32,
    left_out: u64,
}

impl Notices {
    /// Nothing was written yet.
    pub const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Whether a line for `reason` is to be written at the time `now`, and if so, how many were
    /// left out since the last one.
    pub fn admit(&self, reason: &'static str, now: Mono) -> Option<u64> {
        // Nothing panics while it is held.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = all.iter().position(|(known, _)| *known == reason).unwrap_or_else(|| {
            all.push((reason, Interval { began: now, written: 0, left_out: 0 }));
            all.len() - 1
        });
        let interval = &mut all[at].1;
        if now.since(interval.began) >= EVERY {
            interval.began = now;
            interval.written = 0;
        }
        if interval.written < MOST {
            interval.written += 1;
            return Some(std::mem::take(&mut interval.left_out));
        }
        interval.left_out += 1;
        None
    }
}

impl Default for Notices {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_a_few_lines_in_each_interval_and_the_rest_is_counted() {
        let notices = Notices::new();
        let written = |reason, at: u64, times: u32| {
            (0..times).filter_map(|_| notices.admit(reason, Mono::at(at))).collect::<Vec<_>>()
        };
        assert_eq!(written("origin", 0, 1000), [0; MOST as usize]);
        assert_eq!(written("token", 0, 1), [0], "another reason has lines of its own");
        assert_eq!(written("origin", EVERY - 1, 1), [0; 0]);
        assert_eq!(written("origin", EVERY, 2), [996, 0], "996 were left out: 995 and one");
        assert_eq!(written("origin", EVERY * 2, 6), [0; MOST as usize]);
        assert_eq!(written("origin", EVERY * 9, 1), [1]);
    }
}
