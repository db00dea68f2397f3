//! A recorder of a test's own: what each metric has come to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Recorder,
    SharedString, Unit,
};

use super::Metric;

/// Every series by name and labels. What is recorded while it is set as the thread's recorder ends
/// up here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorded(Arc<Mutex<BTreeMap<Key, Arc<Series>>>>);

/// The values of one series: the current one, or all observations.
#[derive(Debug, Default)]
struct Series(Mutex<Vec<f64>>);

impl Recorded {
    /// The sum of all series of a counter or gauge.
    pub(crate) fn value(&self, metric: &Metric) -> f64 {
        self.series(metric)
            .iter()
            .map(|series| series.values().last().copied().unwrap_or(0.0))
            .sum()
    }

    /// All observations of a histogram.
    pub(crate) fn observed(&self, metric: &Metric) -> Vec<f64> {
        self.series(metric).iter().flat_map(|series| series.values().clone()).collect()
    }

    fn series(&self, metric: &Metric) -> Vec<Arc<Series>> {
        self.all()
            .iter()
            .filter(|(key, _)| key.name() == metric.name)
            .map(|(_, series)| Arc::clone(series))
            .collect()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<Key, Arc<Series>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, key: &Key) -> Arc<Series> {
        Arc::clone(self.all().entry(key.clone()).or_default())
    }
}

impl Series {
    fn values(&self) -> MutexGuard<'_, Vec<f64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, change: f64) {
        let mut values = self.values();
        let now = values.pop().unwrap_or(0.0) + change;
        values.push(now);
    }
}

#[expect(clippy::cast_precision_loss, reason = "tests count little")]
impl CounterFn for Series {
    fn increment(&self, value: u64) {
        self.add(value as f64);
    }

    fn absolute(&self, value: u64) {
        *self.values() = vec![value as f64];
    }
}

impl GaugeFn for Series {
    fn increment(&self, value: f64) {
        self.add(value);
    }

    fn decrement(&self, value: f64) {
        self.add(-value);
    }

    fn set(&self, value: f64) {
        *self.values() = vec![value];
    }
}

impl HistogramFn for Series {
    fn record(&self, value: f64) {
        self.values().push(value);
    }
}

impl Recorder for Recorded {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &metrics::Metadata<'_>) -> Counter {
        Counter::from_arc(self.of(key))
    }

    fn register_gauge(&self, key: &Key, _: &metrics::Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.of(key))
    }

    fn register_histogram(&self, key: &Key, _: &metrics::Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.of(key))
    }
}
