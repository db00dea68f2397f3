//! What a run found out, and how it is told: a table, JSON, a page.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::common::Common;
use crate::machine::{Machine, rfc3339};
use crate::run::{Run, Window};
use crate::server_use::ServerUse;
use crate::stats::{Lane, Sample, Summary};

pub mod graph;
mod html;
mod plot;
pub mod sheet;
mod table;

/// The report of one scenario; its JSON form is stable.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The scenario's name.
    pub scenario: String,
    /// This harness' version.
    pub version: &'static str,
    /// When the run began, RFC 3339.
    pub started_at: String,
    /// The harness' machine.
    pub machine: Machine,
    /// The scenario's arguments.
    pub parameters: Value,
    /// How long the window of measurement was, in seconds.
    pub window_s: f64,
    /// The figures, each with its unit in its name.
    pub figures: Figures,
    /// Latencies by lane.
    pub latencies: BTreeMap<String, Summary>,
    /// The run over time.
    pub series: Vec<Sample>,
    /// What the server spent in the window.
    pub server: Option<ServerUse>,
    /// Tables of figures side by side, where there is something to compare.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sheets: Vec<sheet::Sheet>,
    /// More lines over time, where the scenario watches more than its series.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub graphs: Vec<graph::Graph>,
    /// Errors by name: the server's codes, close codes, and failures of connections.
    pub errors: BTreeMap<String, u64>,
    /// Promises that were not kept, in words; with any, the exit code is 1.
    pub violations: Vec<String>,
}

/// Named numbers, in the order in which they were added.
#[derive(Debug, Clone, Default)]
pub struct Figures(pub Vec<(&'static str, f64)>);

impl Figures {
    /// Adds one.
    pub fn add(&mut self, name: &'static str, value: f64) {
        self.0.push((name, value));
    }

    /// Adds one where it is known.
    pub fn add_known(&mut self, name: &'static str, value: Option<f64>) {
        if let Some(value) = value.filter(|v| v.is_finite()) {
            self.add(name, value);
        }
    }

    /// One by its name.
    #[cfg(test)]
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

impl Report {
    /// A report of `run`, with all that its board and its window tell.
    ///
    /// # Errors
    /// Where the arguments do not serialize.
    pub fn new(scenario: &str, run: &Run, args: &impl Serialize, window: Window) -> Result<Self> {
        let board = &run.board;
        let mut figures = Figures::default();
        let per_second = |count: u64| count as f64 / window.seconds.max(1e-9);
        let latencies =
            Lane::ALL.into_iter().map(|lane| (lane.name().to_owned(), board.summary(lane)));
        let latencies: BTreeMap<_, _> =
            latencies.filter(|(_, summary)| summary.count > 0).collect();
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
                figures.add(rate, per_second(count));
                figures.add_known(
                    cost,
                    window.server.cpu_s.filter(|_| count > 0).map(|s| s * 1e6 / count as f64),
                );
            }
        }
        figures.add_known(
            "server_cpu_percent",
            window.server.cpu_s.map(|s| s * 100.0 / window.seconds.max(1e-9)),
        );
        Ok(Self {
            scenario: scenario.to_owned(),
            version: env!("CARGO_PKG_VERSION"),
            started_at: rfc3339(run.started),
            machine: Machine::this(),
            parameters: serde_json::to_value(args).context("the arguments do not serialize")?,
            window_s: window.seconds,
            figures,
            latencies,
            series: window.series,
            server: Some(window.server).filter(|server| server.cpu_s.is_some()),
            sheets: Vec::new(),
            graphs: Vec::new(),
            errors: board.errors(),
            violations: Vec::new(),
        })
    }

    /// Notes a promise that was not kept, if `count` is not zero.
    pub fn expect_none(&mut self, count: u64, what: &str) {
        if count > 0 {
            self.violations.push(format!("{count} {what}"));
        }
    }
}

/// Prints the reports as tables, and writes the files that were asked for. One report is written as
/// an object, several as an array.
///
/// # Errors
/// Where a file cannot be written.
pub fn deliver(reports: &[Report], common: &Common) -> Result<()> {
    deliver_to(reports, common.json.as_deref(), common.html.as_deref())
}

/// The same for commands without the common arguments.
///
/// # Errors
/// Where a file cannot be written.
pub fn deliver_to(reports: &[Report], json: Option<&Path>, html: Option<&Path>) -> Result<()> {
    for report in reports {
        print!("{}", table::render(report));
    }
    if let Some(path) = json {
        let json = match reports {
            [report] => serde_json::to_string_pretty(report),
            reports => serde_json::to_string_pretty(reports),
        };
        write(path, json.context("the report does not serialize")? + "\n")?;
    }
    if let Some(path) = html {
        write(path, html::page(reports))?;
    }
    Ok(())
}

/// Writes each plot of a report's tables as an SVG file of its own, named by scenario and table.
///
/// # Errors
/// Where a file cannot be written.
pub fn draw(report: &Report, dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("`{}` cannot be made", dir.display()))?;
    for sheet in &report.sheets {
        if let Some(svg) = sheet.svg() {
            let words = format!("{} {}", report.scenario, sheet.title).to_lowercase();
            let words: Vec<_> = words
                .split(|c: char| !c.is_alphanumeric())
                .filter(|word| !word.is_empty())
                .collect();
            write(&dir.join(words.join("-")).with_extension("svg"), svg)?;
        }
    }
    Ok(())
}

fn write(path: &Path, content: String) -> Result<()> {
    std::fs::write(path, content).with_context(|| format!("`{}` cannot be written", path.display()))
}

#[cfg(test)]
mod tests;
