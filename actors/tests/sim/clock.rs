//! Time, controlled by the seed: one clock for timers, which only moves forward, and a wall clock
//! for each node, which is sometimes set.

use greenroom_actors::clock::{self, Millis, Mono};

/// The time at which every run begins, in ms since the Unix epoch.
const BEGIN: Millis = 1_800_000_000_000;

#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// By a wall clock: the true time, unless it is read through a node's [`Dial`].
    pub wall: Millis,
    /// By timers.
    pub mono: Millis,
}

impl Now {
    /// In the core's type.
    pub fn clock(self) -> clock::Now {
        clock::Now { wall: self.wall, mono: Mono::at(self.mono) }
    }

    /// The same moment on another wall clock.
    pub fn on(self, dial: Dial) -> Self {
        Self { wall: self.wall.saturating_add_signed(dial.0), ..self }
    }
}

/// How far a node's wall clock is ahead of the true time, in ms.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dial(i64);

impl Dial {
    /// Sets the clock forward or back.
    pub fn turn(&mut self, ms: i64) {
        self.0 += ms;
    }
}

#[derive(Debug, Default)]
pub struct Clock {
    mono: Millis,
    /// The dial of new nodes.
    pub dial: Dial,
    /// The furthest that any wall clock has been ahead.
    most: Dial,
}

impl Clock {
    /// The true time.
    pub fn now(&self) -> Now {
        Now { wall: BEGIN + self.mono, mono: self.mono }
    }

    /// The latest time that any wall clock may have shown.
    pub fn latest(&self) -> Millis {
        self.now().on(self.most).wall
    }

    /// Moves the time forward.
    pub fn pass(&mut self, ms: Millis) {
        self.mono += ms;
    }

    /// Moves the time forward to a timer's.
    pub fn pass_until(&mut self, mono: Millis) {
        self.pass(mono.saturating_sub(self.mono));
    }

    /// Records the dial of a node.
    pub fn shows(&mut self, dial: Dial) {
        self.most.0 = self.most.0.max(dial.0);
    }

    /// Sets all clocks to the latest one.
    pub fn correct(&mut self) -> Dial {
        self.dial = self.most;
        self.dial
    }
}
