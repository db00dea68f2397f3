//! The results of a run, as a table, as JSON and as a page.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::common::{Common, Output};
use crate::machine::Machine;
use crate::run::{Run, Window};
use crate::server_use::ServerUse;
use crate::stats::{Lane, Sample, Summary};

mod html;
pub mod plot;
pub mod sheet;
mod table;

/// The report of one scenario; its JSON form is stable.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    pub scenario: String,
    pub version: &'static str,
    /// When the run began, RFC 3339.
    pub started_at: String,
    /// The harness' machine.
    pub machine: Machine,
    pub parameters: Value,
    /// How long the window of measurement was, in seconds.
    pub window_s: f64,
    /// The figures, each with its unit in its name.
    pub figures: Figures,
    pub latencies: BTreeMap<String, Summary>,
    pub series: Vec<Sample>,
    /// What the server spent in the window.
    pub server: Option<ServerUse>,
    /// Tables of figures side by side, where there is something to compare.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sheets: Vec<sheet::Sheet>,
    /// More plots, where the scenario shows more than what every report has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub graphs: Vec<plot::Plot>,
    /// Errors by name: the server's codes, close codes, and failures of connections.
    pub errors: BTreeMap<String, u64>,
    /// Broken promises, in words; with any, the exit code is 1.
    pub violations: Vec<String>,
}

/// Named numbers, in the order in which they were added.
#[derive(Debug, Clone, Default)]
pub struct Figures(pub Vec<(&'static str, f64)>);

impl Figures {
    pub fn add(&mut self, name: &'static str, value: f64) {
        self.0.push((name, value));
    }

    pub fn add_known(&mut self, name: &'static str, value: Option<f64>) {
        if let Some(value) = value.filter(|v| v.is_finite()) {
            self.add(name, value);
        }
    }

    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
    }
}

impl Serialize for Figures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, &((value * 1000.0).round() / 1000.0))?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct Parameters<'a, A> {
    #[serde(flatten)]
    common: &'a Common,
    #[serde(flatten)]
    args: &'a A,
}

impl Report {
    /// A report with only what was run, where and when.
    pub fn empty(scenario: &str, started: SystemTime, args: &impl Serialize) -> Result<Self> {
        Ok(Self {
            scenario: scenario.to_owned(),
            version: env!("CARGO_PKG_VERSION"),
            started_at: humantime::format_rfc3339_seconds(started).to_string(),
            machine: Machine::this(),
            parameters: serde_json::to_value(args).context("the arguments do not serialize")?,
            ..Self::default()
        })
    }

    /// A report of `run` with the figures of its board and its window.
    pub fn new(run: &Run, args: &impl Serialize, window: Window) -> Result<Self> {
        let (board, seconds) = (&run.board, window.seconds.max(1e-9));
        let parameters = Parameters { common: &run.common, args };
        let mut report = Self::empty(run.scenario, run.started, &parameters)?;
        let latencies = Lane::ALL.map(|lane| (lane.name(), board.summary(lane)));
        report.latencies.extend(latencies.into_iter().filter(|(_, summary)| summary.count > 0));
        let figures = &mut report.figures;
        if board.sent_ever() > 0 {
            figures.add("sent", board.sent_ever() as f64);
        }
        let rates = [
            (Lane::Delivery, "deliveries", "deliveries_per_s", "server_cpu_us_per_delivery"),
            (Lane::Ack, "acks", "acks_per_s", "server_cpu_us_per_ack"),
        ];
        for (lane, total, rate, cost) in rates {
            let count = board.in_window(lane);
            if board.ever(lane) > 0 {
                figures.add(total, board.ever(lane) as f64);
                figures.add(rate, count as f64 / seconds);
                let cpu_s = window.server.cpu_s.filter(|_| count > 0);
                figures.add_known(cost, cpu_s.map(|s| s * 1e6 / count as f64));
            }
        }
        let cpu_s = window.server.cpu_s;
        figures.add_known("server_cpu_percent", cpu_s.map(|s| s * 100.0 / seconds));
        (report.window_s, report.series) = (window.seconds, window.series);
        report.server = cpu_s.is_some().then_some(window.server);
        report.errors = board.errors();
        Ok(report)
    }

    /// Adds failures: the first ten in words, and the number of the others.
    pub fn fail(&mut self, failures: impl IntoIterator<Item = String>) {
        let mut failures = failures.into_iter();
        self.violations.extend(failures.by_ref().take(10));
        self.expect_none(failures.count() as u64, "more failures");
    }

    /// Adds a broken promise if `count` is not zero.
    pub fn expect_none(&mut self, count: u64, what: &str) {
        if count > 0 {
            self.violations.push(format!("{count} {what}"));
        }
    }
}

/// Prints the reports as tables, and writes the files that were asked for. One report is written as
/// an object, several as an array.
pub fn deliver(reports: &[Report], output: &Output) -> Result<()> {
    for report in reports {
        print!("{}", table::render(report));
    }
    if let Some(path) = &output.json {
        let json = match reports {
            [report] => serde_json::to_string_pretty(report),
            reports => serde_json::to_string_pretty(reports),
        };
        write(path, json.context("the report does not serialize")? + "\n")?;
    }
    if let Some(path) = &output.html {
        write(path, html::page(reports))?;
    }
    Ok(())
}

pub fn write(path: &Path, content: String) -> Result<()> {
    std::fs::write(path, content).with_context(|| format!("`{}` cannot be written", path.display()))
}

#[cfg(test)]
mod tests;
