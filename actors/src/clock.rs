//! Time as an argument: one clock that only goes on, for durations, and the one on the wall, for
//! dates.
//!
//! The wall's clock is set at times, by hand or over the network. So whatever lasts (a timeout, a
//! window, an interval) is measured by [`Mono`], which does not mix with [`Millis`].

use std::sync::OnceLock;
use std::time::Instant;

/// The wall clock's time: milliseconds since the Unix epoch, as the wire format counts them. For
/// dates: of events, tokens and ids.
pub type Millis = u64;

/// The time of a clock that nobody sets, in milliseconds since the process' first look at it. For
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
        Self(ms)
    }

    /// `ms` later.
    #[must_use]
    pub const fn after(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds since `earlier`; 0 if that is later.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
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
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    Mono(u64::try_from(BEGAN.get_or_init(Instant::now).elapsed().as_millis()).unwrap_or(u64::MAX))
}

/// The time now by both.
pub fn now() -> Now {
    Now { wall: wall(), mono: mono() }
}
