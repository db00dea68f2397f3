//! The board: what every task of a run writes to, and the sampler reads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::{Latencies, Summary};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// From the moment that a message was meant to be sent until a subscriber has it.
    Delivery,
    /// From the moment that a request was meant to be sent until its answer is here.
    Ack,
    /// From the start of a TCP connection until the answer to `connect`.
    Connect,
    /// From the request until the answer of one `presence` call.
    Presence,
    /// From the moment that a member enters until another one is told.
    Told,
    /// A delivery of a signal, where classes of messages are told apart.
    Signal,
    /// A delivery of a post, where classes of messages are told apart.
    Post,
    /// A delivery of a post to the one room that many follow.
    Hot,
}

impl Lane {
    pub const ALL: [Self; 8] = [
        Self::Delivery,
        Self::Ack,
        Self::Connect,
        Self::Presence,
        Self::Told,
        Self::Signal,
        Self::Post,
        Self::Hot,
    ];

    pub fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

#[derive(Default)]
struct Track {
    latency: Latencies,
    ever: AtomicU64,
    in_window: AtomicU64,
}

/// Counters, latencies and errors of one run.
///
/// Times are microseconds since the board was made. Between `open` and `close` lies the window:
/// throughput counts what arrives in it; latency counts what was meant to be sent in it, however
/// late it arrives.
pub struct Board {
    epoch: Instant,
    start_us: AtomicU64,
    end_us: AtomicU64,
    tracks: [Track; Lane::ALL.len()],
    sent: AtomicU64,
    errors: Mutex<BTreeMap<String, u64>>,
}

impl Default for Board {
    /// A board whose window is not open yet.
    fn default() -> Self {
        Self {
            epoch: Instant::now(),
            start_us: AtomicU64::new(u64::MAX),
            end_us: AtomicU64::new(u64::MAX),
            tracks: Default::default(),
            sent: AtomicU64::new(0),
            errors: Mutex::default(),
        }
    }
}

impl Board {
    /// Now, in microseconds since the board was made.
    pub fn now_us(&self) -> u64 {
        self.epoch.elapsed().as_micros() as u64
    }

    /// The instant that is `us` microseconds after the board was made.
    pub fn instant(&self, us: u64) -> Instant {
        self.epoch + std::time::Duration::from_micros(us)
    }

    pub fn open(&self) {
        self.start_us.store(self.now_us(), Relaxed);
    }

    pub fn close(&self) {
        self.end_us.store(self.now_us(), Relaxed);
    }

    /// Sets a window that lies ahead, and forgets what was measured in the last one.
    pub fn open_between(&self, start_us: u64, end_us: u64) {
        for track in &self.tracks {
            track.latency.reset();
            track.in_window.store(0, Relaxed);
        }
        self.start_us.store(start_us, Relaxed);
        self.end_us.store(end_us, Relaxed);
    }

    /// Notes that something meant for `intended_us` has just arrived.
    pub fn record(&self, lane: Lane, intended_us: u64) {
        self.record_all(lane, &[intended_us]);
    }

    /// The same for all that arrived together.
    pub fn record_all(&self, lane: Lane, intended_us: &[u64]) {
        if intended_us.is_empty() {
            return;
        }
        let now = self.count_all(lane, intended_us.len() as u64);
        let window = self.window();
        let meant = intended_us.iter().filter(|intended| window.contains(intended));
        self.tracks[lane as usize].latency.record(meant.map(|us| now.saturating_sub(*us)));
    }

    /// Notes an arrival of which only the fact counts.
    pub fn count(&self, lane: Lane) {
        self.count_all(lane, 1);
    }

    fn count_all(&self, lane: Lane, count: u64) -> u64 {
        let (now, track) = (self.now_us(), &self.tracks[lane as usize]);
        track.ever.fetch_add(count, Relaxed);
        if self.window().contains(&now) {
            track.in_window.fetch_add(count, Relaxed);
        }
        now
    }

    fn window(&self) -> std::ops::Range<u64> {
        self.start_us.load(Relaxed)..self.end_us.load(Relaxed)
    }

    /// How many arrived since the board was made.
    pub fn ever(&self, lane: Lane) -> u64 {
        self.tracks[lane as usize].ever.load(Relaxed)
    }

    pub fn in_window(&self, lane: Lane) -> u64 {
        self.tracks[lane as usize].in_window.load(Relaxed)
    }

    pub fn summary(&self, lane: Lane) -> Summary {
        self.tracks[lane as usize].latency.summary()
    }

    /// Ends an interval of one lane; see [`Latencies::tick`].
    pub fn tick(&self, lane: Lane) -> Option<(u64, u64)> {
        self.tracks[lane as usize].latency.tick()
    }

    /// Ends a lap of one lane; see [`Latencies::lap`].
    pub fn lap(&self, lane: Lane) -> Summary {
        self.tracks[lane as usize].latency.lap()
    }

    pub fn sent(&self) {
        self.sent.fetch_add(1, Relaxed);
    }

    pub fn sent_ever(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    pub fn error(&self, code: &str) {
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        *errors.entry(code.to_owned()).or_default() += 1;
    }

    pub fn errors(&self) -> BTreeMap<String, u64> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The board's clock counts microseconds, and all of this test may happen within one.
    fn next_microsecond(board: &Board) {
        let now = board.now_us();
        while board.now_us() == now {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn only_the_window_counts() {
        let board = Board::default();
        board.record(Lane::Ack, 0);
        next_microsecond(&board);
        board.open();
        let inside = board.now_us();
        board.record(Lane::Ack, inside);
        next_microsecond(&board);
        board.close();
        board.record(Lane::Ack, inside);
        assert_eq!(board.ever(Lane::Ack), 3);
        assert_eq!(board.in_window(Lane::Ack), 1, "throughput counts arrivals inside the window");
        assert_eq!(
            board.summary(Lane::Ack).count,
            2,
            "a late answer to an early request keeps its latency"
        );
        assert_eq!(board.summary(Lane::Delivery).count, 0, "lanes are apart");
    }

    #[test]
    fn errors_are_counted_by_name() {
        let board = Board::default();
        for code in ["rate_limited", "closed_4008", "rate_limited"] {
            board.error(code);
        }
        assert_eq!(
            board.errors(),
            BTreeMap::from([("closed_4008".into(), 1), ("rate_limited".into(), 2)])
        );
    }
}
