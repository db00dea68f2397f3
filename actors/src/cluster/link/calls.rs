//! When to call the other end, which may not hear: often at first, then ever more rarely.

use super::settings::Settings;
use crate::clock::Mono;

/// The times of the calls.
#[derive(Debug)]
pub(super) struct Calls {
    settings: Settings,
    rng: fastrand::Rng,
    at: Mono,
    last: Option<Mono>,
    /// Milliseconds after the next call.
    pause: u64,
}

impl Calls {
    /// The first call is due.
    pub fn new(settings: Settings, rng: fastrand::Rng) -> Self {
        Self { settings, rng, at: Mono::ZERO, last: None, pause: settings.hello }
    }

    /// When the next one is due.
    pub fn at(&self) -> Mono {
        self.at
    }

    /// Whether the other end has not answered for some time.
    pub fn are_rare(&self) -> bool {
        self.pause > 2 * self.settings.hello
    }

    /// The next one is due now, or shortly after the last one, and then often.
    pub fn soon(&mut self, now: Mono) {
        self.pause = self.settings.hello;
        self.at = match self.last {
            Some(last) => now.max(last.after(self.pause / 2)),
            None => now,
        };
    }

    /// Something else that says the same is on its way.
    pub fn begin(&mut self, now: Mono) {
        self.pause = self.settings.hello;
        self.at = now.after(self.pause);
    }

    /// One is made.
    pub fn made(&mut self, now: Mono) {
        self.last = Some(now);
        // Not all nodes at once.
        let pause = self.pause / 2 + self.rng.u64(..=self.pause / 2);
        self.at = now.after(pause.max(1));
        self.pause = (self.pause * 2).min(self.settings.hello_max);
    }
}
