//! The server's metrics, and the recorder that all crates' metrics end up in.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use greenroom_actors::metrics::{self as core, Metric, MetricType};
use metrics::Gauge;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Sockets that are open.
pub const CONNECTIONS: Metric =
    Metric::gauge("greenroom_connections", &[], "Open WebSocket connections");
/// Sockets that are no WebSockets, or not yet.
pub const CONNECTIONS_PENDING: Metric = Metric::gauge(
    "greenroom_connections_pending",
    &[],
    "Open connections that are no WebSockets, or not yet: handshakes, and plain HTTP",
);
/// Connections that were not let in.
pub const CONNECTIONS_REFUSED: Metric = Metric::counter(
    "greenroom_connections_refused_total",
    &["reason"],
    "Connections refused before the upgrade, by reason: `limit`, `address`, `rate`, `origin`, `handshake` or `shutting_down`",
);
/// Connections that ended.
pub const CLOSES: Metric = Metric::counter(
    "greenroom_closes_total",
    &["reason"],
    "Connections that ended, by the name of the close code, such as `normal`, `slow_consumer` or `too_big`",
);
/// Whether traffic should come here.
pub const READY: Metric = Metric::gauge("greenroom_ready", &[], "1 when `/ready` says so, else 0");
/// Which build runs.
pub const BUILD_INFO: Metric = Metric::gauge(
    "greenroom_build_info",
    &["version"],
    "Always 1; the label says which version runs",
);

/// Every metric of this crate, in the order of the documentation.
pub const TABLE: &[Metric] =
    &[CONNECTIONS, CONNECTIONS_PENDING, CONNECTIONS_REFUSED, CLOSES, READY, BUILD_INFO];

/// What the crate `metrics-process` adds, which has the names that Prometheus' own client libraries
/// use.
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

/// How often [`Exporter::run_upkeep`] has to be called, so that observations do not pile up between
/// scrapes.
pub const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// All that was declared: the server's metrics, then the core's.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    TABLE.iter().chain(core::TABLE)
}

/// Renders what was recorded. Cheap to clone.
#[derive(Clone)]
pub struct Exporter {
    handle: PrometheusHandle,
    process: metrics_process::Collector,
    samplers: Arc<Mutex<Vec<Sampler>>>,
}

/// Records what is looked at only when somebody asks.
type Sampler = Box<dyn Fn() + Send>;

impl Exporter {
    /// The recorder of this process: the first call installs it, and later ones share it. Handles
    /// that were made before that record nothing.
    ///
    /// # Errors
    /// When something else has installed a recorder.
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

    /// Describes everything, and records what is known from the start.
    fn started(handle: PrometheusHandle) -> Self {
        all().for_each(Metric::describe);
        let process = metrics_process::Collector::default();
        process.describe();
        BUILD_INFO.gauge_with([env!("CARGO_PKG_VERSION")]).set(1.0);
        READY.gauge_with([]).set(0.0);
        Self { handle, process, samplers: Arc::default() }
    }

    /// One that shares no recorder with the process.
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

    /// The text of a scrape, in Prometheus' format.
    pub fn render(&self) -> String {
        self.process.collect();
        self.samplers().iter().for_each(|sampler| sampler());
        self.handle.render()
    }

    /// Sorts recent observations into their histograms. To be called every [`UPKEEP_INTERVAL`],
    /// since otherwise they are kept one by one until the next scrape.
    pub fn run_upkeep(&self) {
        self.handle.run_upkeep();
    }
}

/// A recorder was installed before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a metrics recorder is installed already")]
pub struct InstallError;

/// A recorder that makes histograms, not summaries: only they can be added up over nodes.
fn builder() -> PrometheusBuilder {
    all().fold(PrometheusBuilder::new(), |builder, metric| match metric.r#type {
        MetricType::Histogram(buckets) => builder
            .set_buckets_for_metric(Matcher::Full(metric.name.into()), buckets)
            .expect("a declared histogram has buckets"),
        MetricType::Counter | MetricType::Gauge => builder,
    })
}

/// What connections record.
#[derive(Clone)]
pub struct ConnectionMetrics {
    /// Sockets that are open.
    pub open: Gauge,
}

impl ConnectionMetrics {
    /// The handles.
    pub fn new() -> Self {
        Self { open: CONNECTIONS.gauge_with([]) }
    }

    /// A connection ended, for `reason`.
    pub fn closed(&self, reason: &'static str) {
        CLOSES.counter_with([reason]).increment(1);
    }
}

#[cfg(test)]
mod tests;
