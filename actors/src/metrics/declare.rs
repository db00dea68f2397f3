//! How a metric is declared.

use metrics::{Counter, Gauge, Histogram, Label, Unit};

/// What a metric is, to Prometheus.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MetricType {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations by these upper bounds, ascending.
    Histogram(&'static [f64]),
}

impl MetricType {
    /// Prometheus' word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// One metric: what is known of it before anything is recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// Its full name, unit and `_total` included.
    pub name: &'static str,
    /// What it is.
    pub r#type: MetricType,
    /// The names of its labels, in order.
    pub labels: &'static [&'static str],
    /// What it counts.
    pub unit: Unit,
    /// One line that a scrape shows.
    pub help: &'static str,
}

impl Metric {
    /// Declares a counter.
    pub const fn counter(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, r#type: MetricType::Counter, labels, unit: Unit::Count, help }
    }

    /// Declares a gauge that counts things.
    pub const fn gauge(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self::gauge_of(name, labels, Unit::Count, help)
    }

    /// Declares a gauge of another unit.
    pub const fn gauge_of(
        name: &'static str,
        labels: &'static [&'static str],
        unit: Unit,
        help: &'static str,
    ) -> Self {
        Self { name, r#type: MetricType::Gauge, labels, unit, help }
    }

    /// Declares a histogram with its buckets' upper bounds.
    pub const fn histogram(
        name: &'static str,
        labels: &'static [&'static str],
        unit: Unit,
        buckets: &'static [f64],
        help: &'static str,
    ) -> Self {
        Self { name, r#type: MetricType::Histogram(buckets), labels, unit, help }
    }

    /// Tells the recorder the metric's unit and help.
    pub fn describe(&self) {
        match self.r#type {
            MetricType::Counter => metrics::describe_counter!(self.name, self.unit, self.help),
            MetricType::Gauge => metrics::describe_gauge!(self.name, self.unit, self.help),
            MetricType::Histogram(_) => {
                metrics::describe_histogram!(self.name, self.unit, self.help);
            }
        }
    }

    /// The counter with these label values, in the order of [`labels`](Self::labels).
    pub fn counter_with<const N: usize>(&self, values: [&'static str; N]) -> Counter {
        debug_assert_eq!(
            self.r#type,
            MetricType::Counter,
            "`{}` is a {}",
            self.name,
            self.r#type.as_str()
        );
        metrics::counter!(self.name, self.label_set(values))
    }

    /// The gauge with these label values.
    pub fn gauge_with<const N: usize>(&self, values: [&'static str; N]) -> Gauge {
        debug_assert_eq!(
            self.r#type,
            MetricType::Gauge,
            "`{}` is a {}",
            self.name,
            self.r#type.as_str()
        );
        metrics::gauge!(self.name, self.label_set(values))
    }

    /// The histogram with these label values.
    pub fn histogram_with<const N: usize>(&self, values: [&'static str; N]) -> Histogram {
        debug_assert!(
            matches!(self.r#type, MetricType::Histogram(_)),
            "`{}` is a {}",
            self.name,
            self.r#type.as_str()
        );
        metrics::histogram!(self.name, self.label_set(values))
    }

    fn label_set<const N: usize>(&self, values: [&'static str; N]) -> Vec<Label> {
        debug_assert_eq!(self.labels.len(), N, "`{}` has the labels {:?}", self.name, self.labels);
        self.labels
            .iter()
            .zip(values)
            .map(|(name, value)| Label::from_static_parts(name, value))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{TABLE, cluster};
    use super::*;

    #[test]
    fn declarations_follow_the_conventions() {
        for metric in TABLE.iter().chain(cluster::TABLE) {
            assert!(metric.name.starts_with("greenroom_"), "{}", metric.name);
            assert_eq!(
                metric.name.ends_with("_total"),
                metric.r#type == MetricType::Counter,
                "{}",
                metric.name
            );
            assert_eq!(
                metric.name.ends_with("_seconds"),
                metric.unit == Unit::Seconds,
                "{}",
                metric.name
            );
            assert!(!metric.help.is_empty() && !metric.help.ends_with('.'), "{}", metric.name);
            if let MetricType::Histogram(buckets) = metric.r#type {
                assert!(
                    buckets.is_sorted_by(|a, b| a < b) && !buckets.is_empty(),
                    "{}",
                    metric.name
                );
            }
        }
    }

    #[test]
    fn names_are_unique() {
        let all = || TABLE.iter().chain(cluster::TABLE);
        let names: std::collections::BTreeSet<_> = all().map(|metric| metric.name).collect();
        assert_eq!(names.len(), all().count());
    }
}
