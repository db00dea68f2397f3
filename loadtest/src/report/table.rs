//! The report on a terminal.

use super::Report;
use super::sheet::Sheet;

/// The report as text.
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

/// `1,234,567` or `12.34`: digits in groups, and decimals where they matter.
pub fn number(value: f64) -> String {
    let (whole, decimals) = if value.abs() >= 1000.0 || value.fract() == 0.0 {
        (format!("{:.0}", value.abs()), String::new())
    } else {
        let text = format!("{:.2}", value.abs());
        let (whole, decimals) = text.split_once('.').expect("two decimals were asked for");
        (whole.to_owned(), format!(".{decimals}"))
    };
    let mut grouped = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{}{grouped}{decimals}", if value < 0.0 { "-" } else { "" })
}
