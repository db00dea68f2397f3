//! The server's metrics, and the recorder that all crates' metrics end up in.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use greenroom_actors::metrics::{self as core, Metric, MetricType};
use metrics::Gauge;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::nats::metrics as nats;

pub const CONNECTIONS: Metric =
    Metric::gauge("greenroom_connections", &[], "Open WebSocket connections");
pub const CONNECTIONS_PENDING: Metric = Metric::gauge(
    "greenroom_connections_pending",
    &[],
    "Open connections that are not WebSockets, or not yet: handshakes and plain HTTP",
);
pub const CONNECTIONS_REFUSED: Metric = Metric::counter(
    "greenroom_connections_refused_total",
    &["reason"],
    "Connections refused before the upgrade, by reason: `limit`, `address`, `rate`, `origin`, `handshake` or `shutting_down`",
);
pub const CLOSES: Metric = Metric::counter(
    "greenroom_closes_total",
    &["reason"],
    "Connections that ended, by the name of the close code, such as `normal`, `slow_consumer` or `too_big`",
);
pub const READY: Metric = Metric::gauge(
    "greenroom_ready",
    &[],
    "1 when `/ready` says that this node is ready, otherwise 0",
);
pub const BUILD_INFO: Metric = Metric::gauge(
    "greenroom_build_info",
    &["version"],
    "Always 1; the label is the version that is running",
);

/// Every metric of this crate, in the same order as the documentation.
pub const TABLE: &[Metric] =
    &[CONNECTIONS, CONNECTIONS_PENDING, CONNECTIONS_REFUSED, CLOSES, READY, BUILD_INFO];

/// The counters that alerts watch and that have a fixed set of label values. They are 0 from the
/// start, because Prometheus' `increase()` does not see the first count of a series that begins
/// with it.
const FROM_ZERO: &[(Metric, &[&str])] = &[
    (CONNECTIONS_REFUSED, &["limit", "address", "rate", "origin", "handshake", "shutting_down"]),
    (core::MAILBOX_REFUSALS, &["directory", "entity", "journal", "outboxes"]),
    (core::ACTOR_PANICS, &["session", "entity"]),
];

/// The metrics that the crate `metrics-process` adds, under the names that Prometheus' own client
/// libraries use.
#[cfg(test)]
pub const PROCESS: &[&str] = &[
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_threads",
    "process_virtual_memory_bytes",
    "process_virtual_memory_max_bytes",
];

/// How often to call [`Exporter::run_upkeep`], so that observations do not pile up between scrapes.
pub const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// All declared metrics: the server's, then the core's, and those of a cluster and of NATS.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    TABLE.iter().chain(core::TABLE).chain(core::cluster::TABLE).chain(nats::TABLE)
}

/// Renders the recorded metrics. Cheap to clone.
#[derive(Clone)]
pub struct Exporter {
    handle: PrometheusHandle,
    process: metrics_process::Collector,
    samplers: Arc<Mutex<Vec<Sampler>>>,
}

/// Updates gauges whose values are only computed for a scrape.
type Sampler = Box<dyn Fn() + Send>;

impl Exporter {
    /// The exporter of this process: the first call installs the recorder, and later ones share it.
    /// Metric handles created before the first call record nothing.
    ///
    /// # Errors
    /// If something else has already installed a recorder.
    pub fn install() -> Result<Self, InstallError> {
        static INSTALLED: OnceLock<Result<Exporter, InstallError>> = OnceLock::new();
        let install = || {
            let recorder = builder().build_recorder();
            let handle = recorder.handle();
            metrics::set_global_recorder(recorder).map_err(|_| InstallError)?;
            Ok(Self::started(handle))
        };
        INSTALLED.get_or_init(install).clone()
    }

    /// Describes all metrics and records those that are known from the start.
    fn started(handle: PrometheusHandle) -> Self {
        for metric in all() {
            metric.describe();
        }
        let process = metrics_process::Collector::default();
        process.describe();
        BUILD_INFO.gauge_with([env!("CARGO_PKG_VERSION")]).set(1.0);
        READY.gauge_with([]).set(0.0);
        for (metric, values) in FROM_ZERO {
            for value in *values {
                metric.counter_with([*value]).absolute(0);
            }
        }
        Self { handle, process, samplers: Arc::default() }
    }

    /// An exporter with a recorder of its own, not the process's.
    #[cfg(test)]
    pub(crate) fn for_tests(handle: PrometheusHandle) -> Self {
        Self { handle, process: metrics_process::Collector::default(), samplers: Arc::default() }
    }

    /// Calls `sampler` before each scrape.
    pub fn sample(&self, sampler: impl Fn() + Send + 'static) {
        self.samplers().push(Box::new(sampler));
    }

    fn samplers(&self) -> MutexGuard<'_, Vec<Sampler>> {
        self.samplers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The response to a scrape, in Prometheus' text format.
    pub fn render(&self) -> String {
        self.process.collect();
        for sampler in self.samplers().iter() {
            sampler();
        }
        self.handle.render()
    }

    /// Sorts recent observations into their histograms. Must be called every [`UPKEEP_INTERVAL`],
    /// or they are kept one by one until the next scrape.
    pub fn run_upkeep(&self) {
        self.handle.run_upkeep();
    }
}

/// Sets the counter of unreadable entities to 0 for each kind, for the same reason as
/// [`FROM_ZERO`]. The exporter must be installed.
pub fn expect_kinds(kinds: impl IntoIterator<Item = &'static str>) {
    for kind in kinds {
        core::CORRUPT_READS.counter_with([kind]).absolute(0);
    }
}

/// A recorder is already installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a metrics recorder is already installed")]
pub struct InstallError;

/// A builder for a recorder that uses histograms, not summaries: only histograms can be added up
/// over several nodes.
fn builder() -> PrometheusBuilder {
    all().fold(PrometheusBuilder::new(), |builder, metric| match metric.r#type {
        MetricType::Histogram(buckets) => builder
            .set_buckets_for_metric(Matcher::Full(metric.name.into()), buckets)
            .expect("a declared histogram has buckets"),
        MetricType::Counter | MetricType::Gauge => builder,
    })
}

/// The metrics that each connection updates.
#[derive(Clone)]
pub struct ConnectionMetrics {
    pub open: Gauge,
}

impl ConnectionMetrics {
    pub fn new() -> Self {
        Self { open: CONNECTIONS.gauge_with([]) }
    }

    /// Counts a connection that ended for `reason`.
    pub fn closed(&self, reason: &'static str) {
        CLOSES.counter_with([reason]).increment(1);
    }
}

#[cfg(test)]
mod tests;
