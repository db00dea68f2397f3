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

/// How a node's timers differ from the true time: it began at another time, and runs faster or
/// slower.
#[derive(Debug, Clone, Copy, Default)]
pub struct Gauge {
    /// What it shows at the beginning of the run, in ms.
    offset: Millis,
    /// Thousandths by which it is fast.
    fast: i64,
}

impl Gauge {
    /// One whose speed differs by 1 percent at most.
    pub fn draw(rng: &mut fastrand::Rng) -> Self {
        Self { offset: rng.u64(..1_000_000), fast: rng.i64(-10..=10) }
    }

    /// What a moment is by it.
    pub fn read(self, now: Now) -> Now {
        let drift = now.mono as i64 * self.fast / 1000;
        Now { mono: self.offset + now.mono.saturating_add_signed(drift), ..now }
    }

    /// The first moment at which it shows at least `mono`, by the true time.
    pub fn when(self, mono: Millis) -> Millis {
        let passed = mono.saturating_sub(self.offset) as i64;
        let mut at = (passed * 1000 / (1000 + self.fast)).max(0) as u64;
        while self.read(Now { wall: 0, mono: at }).mono < mono {
            at += 1;
        }
        at
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
