//! The report on a terminal.

use super::Report;
use super::sheet::{Sheet, number};

pub fn render(report: &Report) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(text.trim_end());
        out.push('\n');
    };
    line(format!(
        "\n{} · {} · measured for {:.1} s",
        report.scenario, report.started_at, report.window_s
    ));
    let width = report.figures.0.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in &report.figures.0 {
        line(format!("  {name:<width$}  {:>16}", number(*value)));
    }
    for sheet in Sheet::latencies(report).iter().chain(&report.sheets) {
        line(format!("\n{}", sheet.text()));
    }
    for (code, count) in &report.errors {
        line(format!("  error {code}: {}", number(*count as f64)));
    }
    for violation in &report.violations {
        line(format!("  NOT KEPT: {violation}"));
    }
    if report.violations.is_empty() {
        line("  all promises kept".into());
    }
    out
}
