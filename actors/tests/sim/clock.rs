//! Time, moved by the seed: one clock that only goes on, for timers, and the one on the wall, which
//! is set at times.

use greenroom_actors::clock::{self, Millis, Mono};

/// When every run begins, in ms since the Unix epoch.
const BEGIN: Millis = 1_800_000_000_000;

/// What time it is.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// As the entities know it.
    pub wall: Millis,
    /// As timers know it.
    pub mono: Millis,
}

impl Now {
    /// As sessions know it.
    pub fn clock(self) -> clock::Now {
        clock::Now { wall: self.wall, mono: Mono::at(self.mono) }
    }
}

/// See the module's head.
#[derive(Debug)]
pub struct Clock {
    mono: Millis,
    /// What the wall's clock shows when the other one is at 0.
    wall: Millis,
    /// The earliest and the latest time that the wall's clock was set to, for the time it began
    /// with.
    pub earliest: Millis,
    pub latest: Millis,
}

impl Clock {
    pub fn new() -> Self {
        Self { mono: 0, wall: BEGIN, earliest: BEGIN, latest: BEGIN }
    }

    pub fn now(&self) -> Now {
        Now { wall: self.wall + self.mono, mono: self.mono }
    }

    /// Time goes by.
    pub fn pass(&mut self, ms: Millis) {
        self.mono += ms;
        self.latest = self.latest.max(self.now().wall);
    }

    /// Goes on to a timer's time.
    pub fn pass_until(&mut self, mono: Millis) {
        self.pass(mono.saturating_sub(self.mono));
    }

    /// Somebody sets the wall's clock back.
    pub fn set_back(&mut self, ms: Millis) {
        self.wall -= ms;
        self.earliest = self.earliest.min(self.now().wall);
    }

    /// Somebody sets the wall's clock forward.
    pub fn set_forward(&mut self, ms: Millis) {
        self.wall += ms;
        self.latest = self.latest.max(self.now().wall);
    }

    /// The wall's clock shows again what it has shown at the latest.
    pub fn correct(&mut self) {
        self.set_forward(self.latest - self.now().wall);
    }
}
