//! Prints the results as a table, line by line, and writes them as JSON.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Result;
use super::measure::Figures;
use super::variant::{Group, Variant};

/// One line of the table.
#[derive(Debug, Serialize)]
struct Line {
    round: usize,
    group: Group,
    variant: String,
    ops_per_transaction: usize,
    ops_per_s: f64,
    transactions_per_s: f64,
    cpu_us_per_op: f64,
    log_bytes_per_op: f64,
    #[serde(flatten)]
    figures: Figures,
}

/// The results so far.
pub struct Report {
    file: Option<PathBuf>,
    lines: Vec<Line>,
    group: Option<Group>,
}

impl Report {
    /// Starts a report on the terminal, and in `file` if given.
    pub fn begin(file: Option<&Path>) -> Self {
        println!(
            "{:<36}{:>9}{:>8}{:>8}{:>8}{:>10}{:>7}{:>8}{:>10}{:>11}",
            "",
            "ops/s",
            "tx/s",
            "p50 ms",
            "p99 ms",
            "CPU us/op",
            "sys %",
            "core %",
            "log B/op",
            "disk B/op"
        );
        Self { file: file.map(Path::to_owned), lines: Vec::new(), group: None }
    }

    /// Starts a round.
    pub fn round(&mut self, round: usize, rounds: usize) {
        if rounds > 1 {
            println!("round {round} of {rounds}");
        }
        self.group = None;
    }

    /// Adds a result.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn add(&mut self, round: usize, variant: &Variant, figures: Figures) -> Result<()> {
        if self.group.replace(variant.group) != Some(variant.group) {
            println!("{:?}", variant.group);
        }
        let per_op = |sum: f64| sum / figures.ops as f64;
        let line = Line {
            round,
            group: variant.group,
            variant: variant.name.clone(),
            ops_per_transaction: variant.ops(),
            ops_per_s: figures.ops as f64 / figures.seconds,
            transactions_per_s: figures.transactions as f64 / figures.seconds,
            cpu_us_per_op: per_op(figures.cpu_s * 1e6),
            log_bytes_per_op: per_op(figures.log_bytes as f64),
            figures,
        };
        line.print();
        self.lines.push(line);
        if let Some(file) = &self.file {
            std::fs::write(file, serde_json::to_vec_pretty(&self.lines)?)?;
        }
        Ok(())
    }
}

impl Line {
    fn print(&self) {
        let Figures { p50_ms, p99_ms, cpu_s, cpu_system_s, seconds, disk_bytes_per_op, .. } =
            self.figures;
        println!(
            "  {:<34}{:>9.0}{:>8.0}{:>8.2}{:>8.2}{:>10.2}{:>7.0}{:>8.0}{:>10.0}{:>11.0}",
            self.variant,
            self.ops_per_s,
            self.transactions_per_s,
            p50_ms,
            p99_ms,
            self.cpu_us_per_op,
            cpu_system_s / cpu_s * 100.0,
            cpu_s / seconds * 100.0,
            self.log_bytes_per_op,
            disk_bytes_per_op,
        );
    }
}
