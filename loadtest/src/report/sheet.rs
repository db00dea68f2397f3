//! Figures side by side: a table whose rows are what is compared.

use std::fmt::Write;

use serde::Serialize;

use super::Report;
use super::plot::{Line, Plot, Scale, escape};
use crate::stats::Summary;

#[derive(Debug, Clone, Serialize)]
pub struct Sheet {
    pub title: String,
    /// The columns' names, each with its unit; the first column holds the rows' names and has none
    /// here.
    pub columns: Vec<String>,
    pub rows: Vec<Row>,
}

/// One row; a figure that does not exist is `None`.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub name: String,
    pub figures: Vec<Option<f64>>,
}

fn cell(figure: &Option<f64>) -> String {
    figure.map_or_else(|| "–".to_owned(), number)
}

impl Sheet {
    /// A report's figures, and the errors behind them.
    pub fn figures(report: &Report) -> Self {
        let row = |name: String, figure| Row { name, figures: vec![Some(figure)] };
        let figures =
            report.figures.0.iter().map(|(name, value)| row(name.replace('_', " "), *value));
        let errors =
            report.errors.iter().map(|(code, count)| row(format!("error {code}"), *count as f64));
        let columns = vec!["value".to_owned()];
        Self { title: "figure".into(), columns, rows: figures.chain(errors).collect() }
    }

    /// A report's latencies, if it has any.
    pub fn latencies(report: &Report) -> Option<Self> {
        let columns = ["count", "p50", "p90", "p99", "p99.9", "max"].map(str::to_owned).to_vec();
        let row = |(lane, s): (&String, &Summary)| {
            let us = [s.p50_us, s.p90_us, s.p99_us, s.p999_us, s.max_us];
            let ms = us.map(|us| Some(us as f64 / 1000.0));
            Row { name: lane.clone(), figures: [&[Some(s.count as f64)], &ms[..]].concat() }
        };
        let rows: Vec<_> = report.latencies.iter().map(row).collect();
        (!rows.is_empty()).then(|| Self { title: "latency, ms".into(), columns, rows })
    }

    /// As a table in Markdown, aligned for a terminal too.
    pub fn text(&self) -> String {
        let mut lines = vec![vec![self.title.clone()]];
        lines[0].extend(self.columns.iter().cloned());
        lines.extend(self.rows.iter().map(|row| {
            std::iter::once(row.name.clone()).chain(row.figures.iter().map(cell)).collect()
        }));
        let width = |column: usize| {
            let cells = lines.iter().filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..=self.columns.len()).map(width).collect();
        let mut out = String::new();
        for (index, line) in lines.iter().enumerate() {
            for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
                let _ = match column {
                    0 => write!(out, "| {cell:<width$} |"),
                    _ => write!(out, " {cell:>width$} |"),
                };
            }
            out.push('\n');
            if index == 0 {
                let _ = writeln!(out, "|---|{}", "--:|".repeat(self.columns.len()));
            }
        }
        out
    }

    /// As a part of the page.
    pub fn html(&self) -> String {
        let mut out = format!("<div class=\"wide\"><table><tr><th>{}</th>", escape(&self.title));
        for column in &self.columns {
            let _ = write!(out, "<th>{}</th>", escape(column));
        }
        for row in &self.rows {
            let _ = write!(out, "</tr><tr><td>{}</td>", escape(&row.name));
            for figure in &row.figures {
                let _ = write!(out, "<td>{}</td>", cell(figure));
            }
        }
        out + "</tr></table></div>"
    }

    /// All columns but the first, over the first.
    pub fn plot(&self) -> Plot {
        let mut rows: Vec<_> = self
            .rows
            .iter()
            .filter_map(|row| Some(((*row.figures.first()?)?, &row.figures)))
            .collect();
        rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        let line = |(column, name): (usize, &String)| {
            let point = |(x, figures): &(f64, &Vec<_>)| Some((*x, figures.get(column).copied()??));
            Line { name: name.clone(), points: rows.iter().filter_map(point).collect() }
        };
        Plot {
            title: self.title.clone(),
            x_title: self.columns.first().cloned().unwrap_or_default(),
            x: Scale::Log,
            scale: Scale::Log,
            lines: self.columns.iter().enumerate().skip(1).map(line).collect(),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_text_a_part_of_the_page_and_a_plot() {
        let row = |name: &str, figures: &[Option<f64>]| Row {
            name: name.into(),
            figures: figures.to_vec(),
        };
        let sheet = Sheet {
            title: "fan<out>".into(),
            columns: vec!["CPU µs".into(), "p99 ms".into()],
            rows: vec![row("ws", &[Some(10.0), Some(1.5)]), row("greenroom", &[Some(5.0), None])],
        };
        let want = "| fan<out>  | CPU µs | p99 ms |\n|---|--:|--:|\n\
                    | ws        |     10 |   1.50 |\n| greenroom |      5 |      – |\n";
        assert_eq!(sheet.text(), want);
        assert!(sheet.html().contains("fan&lt;out&gt;") && !sheet.html().contains("fan<out>"));
        assert_eq!(sheet.plot().lines, [Line { name: "p99 ms".into(), points: vec![(10.0, 1.5)] }]);
    }
}
