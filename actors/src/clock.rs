//! Time as an argument: one clock that only goes forward, for durations, and the one on the wall,
//! for dates.
//!
//! The wall clock is set at times, by hand or over the network. So whatever lasts (a timeout, a
//! window, an interval) is measured by [`Mono`], which does not mix with [`Millis`].
//!
//! [`Mono`] goes on while the machine is suspended, where the system has such a clock (Linux). A node
//! that wakes then knows that its lease is over, as the others do.
//!
//! Whoever receives something from outside (a socket, a mailbox, a queue, a timer) reads the clocks
//! once and passes the time on. Nobody further in reads them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The wall clock's time: milliseconds since the Unix epoch, as the wire format counts them. For
/// dates: of events, tokens and ids.
pub type Millis = u64;

/// Nanoseconds in a millisecond.
const NANOS: u64 = 1_000_000;

/// The time of a clock that nobody sets, in nanoseconds since it was first read in this process. For
/// whatever lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mono(u64);

impl Mono {
    /// Before everything.
    pub const ZERO: Self = Self(0);
    /// After everything.
    pub const NEVER: Self = Self(u64::MAX);

    /// `ms` milliseconds after [`ZERO`](Self::ZERO).
    pub const fn at(ms: u64) -> Self {
        Self(ms.saturating_mul(NANOS))
    }

    /// Nanoseconds since [`ZERO`](Self::ZERO).
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// `ms` milliseconds later.
    #[must_use]
    pub const fn after(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms.saturating_mul(NANOS)))
    }

    /// Whole milliseconds since `earlier`; 0 if that is later.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0) / NANOS
    }

    /// The time since `earlier`; zero if that is later.
    pub const fn elapsed_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// What time it is, by both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The date.
    pub wall: Millis,
    /// For what lasts.
    pub mono: Mono,
}

/// The date now.
pub fn wall() -> Millis {
    let since =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The time now by the clock that nobody sets.
pub fn mono() -> Mono {
    static BEGAN: OnceLock<Duration> = OnceLock::new();
    let now = running();
    let since = now.saturating_sub(*BEGAN.get_or_init(|| now));
    // Enough for five centuries.
    Mono(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// How long the machine has been running, suspensions included.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn running() -> Duration {
    use nix::time::{ClockId, clock_gettime};

    clock_gettime(ClockId::CLOCK_BOOTTIME).expect("Linux has had this clock since 2.6.39").into()
}

/// The time since this was first called. Suspensions do not count.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn running() -> Duration {
    use std::time::Instant;

    static BEGAN: OnceLock<Instant> = OnceLock::new();
    BEGAN.get_or_init(Instant::now).elapsed()
}

/// The time now by both. The wall clock is read each time: a date from a moment ago would make a
/// client's correct one look as if it were ahead.
pub fn now() -> Now {
    Now { wall: wall(), mono: mono() }
}

/// A clock for code that runs on its own and that nobody can tell the time: the real one, or one
/// that a test sets.
#[derive(Debug, Clone, Default)]
pub struct Clock(Option<Arc<AtomicU64>>);

impl Clock {
    /// The process's clock.
    pub const REAL: Self = Self(None);

    /// One that stands at [`Mono::ZERO`] until it is [`set`](Self::set). Its clones are the same
    /// clock.
    pub fn manual() -> Self {
        Self(Some(Arc::default()))
    }

    /// The time now.
    pub fn mono(&self) -> Mono {
        match &self.0 {
            None => mono(),
            Some(time) => Mono(time.load(Ordering::Relaxed)),
        }
    }

    /// Sets a manual clock. The real one cannot be set, and is not.
    pub fn set(&self, now: Mono) {
        if let Some(time) = &self.0 {
            time.store(now.0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{Mono, mono};

    #[test]
    fn time_goes_forward_from_when_it_was_first_read() {
        let times: Vec<Mono> = (0..1000).map(|_| mono()).collect();
        assert!(times.is_sorted());
        let file = "/proc/uptime";
        if let Ok(uptime) = fs::read_to_string(file) {
            let running: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
            let now = super::running().as_secs_f64();
            // That is in hundredths of a second, and was read before.
            assert!(now >= running, "{file}: {running}, the clock: {now}");
        }
    }

    /// Who receives messages, and so reads the clocks.
    const EDGES: [&str; 1] = ["entity/actor.rs"];
    const READS: [&str; 6] =
        ["Instant::now", "SystemTime", "clock::now", "clock::wall", "clock::mono", "fastrand::u"];

    fn impure(src: &Path, dir: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(src).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                if !name.ends_with("tests") {
                    impure(src, &path, found);
                }
            } else if !EDGES.contains(&&*name) && !name.ends_with("tests.rs") {
                let text = fs::read_to_string(&path).unwrap();
                let reads = READS.iter().filter(|read| text.contains(**read));
                found.extend(reads.map(|read| format!("{name}: {read}")));
            }
        }
    }

    #[test]
    fn time_and_chance_are_arguments_in_the_core() {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut found = Vec::new();
        for part in ["cluster/link", "entity", "journal", "limits", "session", "relay"] {
            impure(&src, &src.join(part), &mut found);
        }
        assert!(found.is_empty(), "{found:?}");
    }
}
