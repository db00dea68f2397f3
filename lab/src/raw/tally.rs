//! What arrived, and how late.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use greenroom_loadtest::stats::Summary;
use greenroom_loadtest::stats::latency::histogram;

/// How many complaints are kept in words.
const KEPT_COMPLAINTS: usize = 16;

/// What is counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Messages that reached a subscriber.
    Delivery,
    /// Answers that reached a sender.
    Ack,
}

struct Count {
    latency: Histogram<u64>,
    arrived: u64,
}

/// The counts of one stage. Times are microseconds since it was made.
///
/// Of a trial's window, `arrived` counts what came within it, whenever it was meant to be sent; the
/// latencies are those of what was meant to be sent within it, whenever it came.
pub struct Tally {
    epoch: Instant,
    start_us: AtomicU64,
    end_us: AtomicU64,
    lanes: [Mutex<Count>; 2],
    gone: AtomicUsize,
    complaints: Mutex<BTreeMap<String, u64>>,
}

impl Tally {
    /// With no window yet.
    pub fn new() -> Self {
        let lane = || Mutex::new(Count { latency: histogram(), arrived: 0 });
        Self {
            epoch: Instant::now(),
            start_us: AtomicU64::new(u64::MAX),
            end_us: AtomicU64::new(u64::MAX),
            lanes: [lane(), lane()],
            gone: AtomicUsize::new(0),
            complaints: Mutex::default(),
        }
    }

    /// Now.
    pub fn now_us(&self) -> u64 {
        self.epoch.elapsed().as_micros() as u64
    }

    /// The instant of a time.
    pub fn instant(&self, us: u64) -> Instant {
        self.epoch + Duration::from_micros(us)
    }

    /// Forgets what was counted, and sets the window.
    pub fn begin(&self, start_us: u64, end_us: u64) {
        for lane in &self.lanes {
            let mut lane = lock(lane);
            lane.latency.reset();
            lane.arrived = 0;
        }
        self.start_us.store(start_us, Relaxed);
        self.end_us.store(end_us, Relaxed);
    }

    /// Counts what one read brought, by the times at which it was meant to be sent.
    pub fn arrived(&self, lane: Lane, stamps: &[u64]) {
        let now = self.now_us();
        let window = self.start_us.load(Relaxed)..self.end_us.load(Relaxed);
        let mut count = lock(&self.lanes[lane as usize]);
        if window.contains(&now) {
            count.arrived += stamps.len() as u64;
        }
        for stamp in stamps.iter().filter(|stamp| window.contains(stamp)) {
            count.latency.saturating_record(now.saturating_sub(*stamp).max(1));
        }
    }

    /// How many arrived within the window.
    pub fn arrived_in_window(&self, lane: Lane) -> u64 {
        lock(&self.lanes[lane as usize]).arrived
    }

    /// How many of those meant for the window have arrived so far.
    pub fn of_window(&self, lane: Lane) -> u64 {
        lock(&self.lanes[lane as usize]).latency.len()
    }

    /// The latencies.
    pub fn summary(&self, lane: Lane) -> Summary {
        Summary::of(&lock(&self.lanes[lane as usize]).latency)
    }

    /// A connection ended.
    pub fn lost(&self) {
        self.gone.fetch_add(1, Relaxed);
    }

    /// How many connections have ended.
    pub fn gone(&self) -> usize {
        self.gone.load(Relaxed)
    }

    /// Counts a server's complaint; of the words, a bounded number is kept.
    pub fn complaint(&self, text: &str) {
        let mut complaints = self.complaints.lock().unwrap_or_else(PoisonError::into_inner);
        let text = if complaints.len() < KEPT_COMPLAINTS || complaints.contains_key(text) {
            text
        } else {
            "others"
        };
        *complaints.entry(text.to_owned()).or_default() += 1;
    }

    /// All complaints, by their words.
    pub fn complaints(&self) -> BTreeMap<String, u64> {
        self.complaints.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Counts are whole at every moment, so a panic elsewhere leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_the_senders_for_latency_and_the_receivers_for_throughput() {
        let tally = Tally::new();
        tally.begin(0, u64::MAX);
        tally.arrived(Lane::Delivery, &[0, 0]);
        assert_eq!(
            (tally.arrived_in_window(Lane::Delivery), tally.of_window(Lane::Delivery)),
            (2, 2)
        );
        let later = tally.now_us() + 3_600_000_000;
        tally.begin(later, later + 1);
        tally.arrived(Lane::Delivery, &[later, 0]);
        assert_eq!(tally.arrived_in_window(Lane::Delivery), 0, "nothing arrives in an hour's time");
        assert_eq!(tally.of_window(Lane::Delivery), 1, "only one was meant for then");
        assert_eq!(tally.of_window(Lane::Ack), 0, "lanes are apart");
    }

    #[test]
    fn complaints_are_bounded() {
        let tally = Tally::new();
        (0..1000).for_each(|i| tally.complaint(&format!("no {i}")));
        let complaints = tally.complaints();
        assert_eq!(complaints.len(), KEPT_COMPLAINTS + 1);
        assert_eq!(complaints.values().sum::<u64>(), 1000);
    }
}
