//! Time, moved by the seed: one clock that only goes forward, for timers, and one on the wall of
//! each node, which is set at times.

use greenroom_actors::clock::{self, Millis, Mono};

/// When every run begins, in ms since the Unix epoch.
const BEGIN: Millis = 1_800_000_000_000;

/// What time it is.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// As a wall clock shows it: the right one, unless it is read off a node's [`Dial`].
    pub wall: Millis,
    /// As timers know it.
    pub mono: Millis,
}

impl Now {
    /// As sessions and entities know it.
    pub fn clock(self) -> clock::Now {
        clock::Now { wall: self.wall, mono: Mono::at(self.mono) }
    }

    /// The same moment on another wall.
    pub fn on(self, dial: Dial) -> Self {
        Self { wall: self.wall.saturating_add_signed(dial.0), ..self }
    }
}

/// How far a node's wall clock is ahead of the right one, in ms.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dial(i64);

impl Dial {
    /// Somebody sets the clock forward, or back.
    pub fn turn(&mut self, ms: i64) {
        self.0 += ms;
    }
}

/// See the module's head.
#[derive(Debug, Default)]
pub struct Clock {
    mono: Millis,
    /// What new nodes' clocks show.
    pub dial: Dial,
    /// The most that any wall clock has been ahead.
    most: Dial,
}

impl Clock {
    /// The right time.
    pub fn now(&self) -> Now {
        Now { wall: BEGIN + self.mono, mono: self.mono }
    }

    /// The latest time that any wall clock may have shown.
    pub fn latest(&self) -> Millis {
        self.now().on(self.most).wall
    }

    /// Time goes by.
    pub fn pass(&mut self, ms: Millis) {
        self.mono += ms;
    }

    /// Goes on to a timer's time.
    pub fn pass_until(&mut self, mono: Millis) {
        self.pass(mono.saturating_sub(self.mono));
    }

    /// Some node's clock shows this.
    pub fn shows(&mut self, dial: Dial) {
        self.most.0 = self.most.0.max(dial.0);
    }

    /// From now on all clocks show what one has shown at the latest.
    pub fn correct(&mut self) -> Dial {
        self.dial = self.most;
        self.dial
    }
}
