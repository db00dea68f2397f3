//! Reading Prometheus' text format, as far as this program needs it.

use std::collections::BTreeMap;

/// The samples of one scrape: series (name with labels, as written) to value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scrape {
    series: BTreeMap<String, f64>,
}

impl Scrape {
    /// Reads an exposition. Lines that are no samples are skipped: this is not a validator.
    pub fn parse(text: &str) -> Self {
        Self { series: text.lines().filter_map(sample).collect() }
    }

    /// The value of a metric, summed over its labels; nothing where there is no such series.
    pub fn sum(&self, name: &str) -> Option<f64> {
        let mut found = self
            .series
            .iter()
            .filter(|(series, _)| self::name(series) == name)
            .map(|(_, value)| *value)
            .peekable();
        found.peek()?;
        Some(found.sum())
    }

    /// What grew since `before`, for the metrics whose name begins with `prefix`; histogram buckets
    /// are left out.
    pub fn growth(&self, before: &Self, prefix: &str) -> BTreeMap<String, f64> {
        let grown = self
            .series
            .iter()
            .filter(|(series, _)| series.starts_with(prefix) && !name(series).ends_with("_bucket"));
        grown
            .map(|(series, value)| {
                (series.clone(), value - before.series.get(series).copied().unwrap_or(0.0))
            })
            .filter(|(_, growth)| *growth != 0.0)
            .collect()
    }
}

fn name(series: &str) -> &str {
    series.split_once('{').map_or(series, |(name, _)| name)
}

/// `name{label="value"} 1.5`, as a server of ours writes it: without a time stamp.
fn sample(line: &str) -> Option<(String, f64)> {
    let (series, value) = line.rsplit_once(' ').filter(|_| !line.starts_with('#'))?;
    Some((series.to_owned(), value.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
# HELP process_cpu_seconds_total CPU time
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 12.5
process_resident_memory_bytes 1.048576e+06

greenroom_ops_total{kind="room",outcome="accepted"} 40
greenroom_ops_total{kind="room",outcome="a \"}\" b"} 2
greenroom_op_seconds_bucket{le="+Inf"} 9
greenroom_op_seconds_sum 0.5
greenroom_nan NaN
broken
"#;

    #[test]
    fn samples() {
        let scrape = Scrape::parse(TEXT);
        assert_eq!(scrape.sum("process_cpu_seconds_total"), Some(12.5));
        assert_eq!(scrape.sum("process_resident_memory_bytes"), Some(1_048_576.0));
        assert_eq!(scrape.sum("greenroom_ops_total"), Some(42.0), "labels are summed");
        assert_eq!(scrape.sum("greenroom_ops"), None, "a prefix is no name");
        assert_eq!(scrape.sum("broken"), None);
    }

    #[test]
    fn growth() {
        let before = Scrape::parse(
            "greenroom_ops_total{kind=\"room\",outcome=\"accepted\"} 30\ngreenroom_op_seconds_sum 0.5",
        );
        let growth = Scrape::parse(TEXT).growth(&before, "greenroom_op");
        let want = [
            (r#"greenroom_ops_total{kind="room",outcome="a \"}\" b"}"#, 2.0),
            (r#"greenroom_ops_total{kind="room",outcome="accepted"}"#, 10.0),
        ];
        assert_eq!(growth, want.map(|(series, by)| (series.to_owned(), by)).into());
    }
}
