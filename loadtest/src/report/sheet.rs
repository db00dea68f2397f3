//! Figures side by side: a table whose rows are what is compared, and its plots.

use std::fmt::Write;

use serde::Serialize;

use super::html::escape;
use super::plot::{Line, Scale, XAxis, plot, short, standalone};
use super::table::number;

/// Of a plot with bars: its width, where bars begin, what is kept free behind them, and their
/// distance.
const WIDTH: f64 = 560.0;
const LEFT: f64 = 170.0;
const RIGHT: f64 = 70.0;
const STEP: f64 = 22.0;

/// A table.
#[derive(Debug, Clone, Serialize)]
pub struct Sheet {
    /// What it shows.
    pub title: String,
    /// The columns' names, each with its unit; the first column holds the rows' names and has none
    /// here.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Row>,
    /// How it is drawn.
    pub chart: Chart,
}

/// One row; a figure that does not exist is `None`.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What it is about.
    pub name: String,
    /// One figure a column.
    pub figures: Vec<Option<f64>>,
}

/// How a sheet is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Chart {
    /// Bars for each column.
    Bars,
    /// All further columns, over the first.
    Lines,
    /// Not at all.
    None,
}

impl Sheet {
    /// As a table in Markdown, aligned for a terminal too.
    pub fn text(&self) -> String {
        let cell = |figure: &Option<f64>| figure.map_or_else(|| "–".to_owned(), number);
        let mut lines = vec![
            std::iter::once(self.title.clone())
                .chain(self.columns.iter().cloned())
                .collect::<Vec<_>>(),
        ];
        lines.extend(self.rows.iter().map(|row| {
            std::iter::once(row.name.clone()).chain(row.figures.iter().map(cell)).collect()
        }));
        let width = |column: usize| {
            lines
                .iter()
                .filter_map(|line| line.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<_> = (0..=self.columns.len()).map(width).collect();
        let mut out = String::new();
        for (index, line) in lines.iter().enumerate() {
            for (column, cell) in line.iter().enumerate() {
                let width = widths[column];
                let _ = if column == 0 {
                    write!(out, "| {cell:<width$} |")
                } else {
                    write!(out, " {cell:>width$} |")
                };
            }
            out.push('\n');
            if index == 0 {
                out.push_str("|---|");
                out.push_str(&"--:|".repeat(self.columns.len()));
                out.push('\n');
            }
        }
        out
    }

    /// As a part of the page.
    pub fn html(&self) -> String {
        let mut out = format!("<div class=\"wide\"><table><tr><th>{}</th>", escape(&self.title));
        self.columns
            .iter()
            .for_each(|column| out.push_str(&format!("<th>{}</th>", escape(column))));
        out.push_str("</tr>");
        for row in &self.rows {
            let _ = write!(out, "<tr><td>{}</td>", escape(&row.name));
            for figure in &row.figures {
                let _ = write!(out, "<td>{}</td>", figure.map_or_else(|| "–".to_owned(), number));
            }
            out.push_str("</tr>");
        }
        out.push_str("</table></div><div class=\"plots\">");
        match self.chart {
            // Shares are there to judge the others by; in a plot they would only take room.
            Chart::Bars => (0..self.columns.len())
                .filter(|c| !self.columns[*c].ends_with('%'))
                .for_each(|c| out.push_str(&self.bars(c))),
            Chart::Lines => out.push_str(&self.lines()),
            Chart::None => {}
        }
        out.push_str("</div>");
        out
    }

    /// Its plot of lines as an SVG file; none where it has none.
    pub fn svg(&self) -> Option<String> {
        let lines = if self.chart == Chart::Lines { self.lines() } else { String::new() };
        (!lines.is_empty()).then(|| standalone(&lines))
    }

    /// One column: a bar for each row that has a figure there.
    fn bars(&self, column: usize) -> String {
        let rows: Vec<_> = self
            .rows
            .iter()
            .filter_map(|row| Some((row.name.as_str(), (*row.figures.get(column)?)?)))
            .collect();
        let most = rows.iter().map(|(_, figure)| *figure).fold(0.0, f64::max);
        if most <= 0.0 {
            return String::new();
        }
        let title = escape(&self.columns[column]);
        let height = 34.0 + STEP * rows.len() as f64;
        let mut svg = format!(
            r#"<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{title}"><text class="t" x="0" y="16">{title}</text>"#
        );
        for (index, (name, figure)) in rows.iter().enumerate() {
            let y = 40.0 + STEP * index as f64;
            let end = LEFT + (figure / most).max(0.0) * (WIDTH - LEFT - RIGHT);
            let colour = if name.starts_with("greenroom") { 0 } else { 2 };
            let _ = write!(
                svg,
                r#"<text class="y" x="{}" y="{:.1}">{}</text>"#,
                LEFT - 8.0,
                y + 4.0,
                escape(name)
            );
            let _ = write!(
                svg,
                r#"<path class="l{colour}" style="stroke-width:12" d="M{LEFT} {y:.1}H{end:.1}"/>"#
            );
            let _ = write!(
                svg,
                r#"<text x="{:.1}" y="{:.1}">{}</text>"#,
                end + 6.0,
                y + 4.0,
                short(*figure)
            );
        }
        svg.push_str("</svg>");
        svg
    }

    /// All columns but the first, over the first.
    fn lines(&self) -> String {
        let mut rows: Vec<_> = self
            .rows
            .iter()
            .filter_map(|row| Some(((*row.figures.first()?)?, &row.figures)))
            .collect();
        rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return String::new() };
        let (low, high) = (first.0.max(1e-3), last.0.max(first.0 * 1.01).max(2e-3));
        let place = |x: f64| (x.max(low) / low).ln() / (high / low).ln();
        let lines: Vec<_> = (1..self.columns.len())
            .map(|column| Line {
                name: &self.columns[column],
                points: rows
                    .iter()
                    .filter_map(|(x, figures)| Some((*x, figures.get(column).copied()??)))
                    .collect(),
            })
            .collect();
        // A few that are far apart are labelled themselves.
        let few = rows.len() <= 5 && rows.windows(2).all(|pair| pair[1].0 > pair[0].0 * 1.5);
        let marks: Vec<_> = match few {
            true => rows.iter().map(|(x, _)| *x).collect(),
            false => (0..=4).map(|i| low * (high / low).powf(f64::from(i) / 4.0)).collect(),
        };
        let ticks = marks.into_iter().map(|x| (x, short(x.round()))).collect();
        plot(
            &self.title,
            &lines,
            Scale::Log,
            &XAxis { title: &self.columns[0], place: &place, ticks },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet(chart: Chart) -> Sheet {
        let row = |name: &str, figures: &[Option<f64>]| Row {
            name: name.into(),
            figures: figures.to_vec(),
        };
        Sheet {
            title: "fan<out>".into(),
            columns: vec!["CPU µs".into(), "p99 ms".into()],
            rows: vec![row("ws", &[Some(10.0), Some(1.5)]), row("greenroom", &[Some(5.0), None])],
            chart,
        }
    }

    #[test]
    fn text_is_a_table_in_markdown() {
        let want = "| fan<out>  | CPU µs | p99 ms |\n|---|--:|--:|\n| ws        |     10 |   1.50 |\n| greenroom |      5 |      – |\n";
        assert_eq!(sheet(Chart::Bars).text(), want);
    }

    #[test]
    fn bars_are_as_long_as_their_figures() {
        let html = sheet(Chart::Bars).html();
        assert!(
            html.contains(r#"d="M170 40.0H490.0""#) && html.contains(r#"d="M170 62.0H330.0""#),
            "{html}"
        );
        assert_eq!(html.matches("<svg ").count(), 2);
        assert!(html.contains("fan&lt;out&gt;") && !html.contains("fan<out>"), "text is escaped");
    }

    #[test]
    fn lines_need_no_order_and_no_second_point() {
        let mut one = sheet(Chart::Lines);
        assert!(one.html().contains("<polyline"), "two rows");
        one.rows.truncate(1);
        assert!(!one.html().contains("NaN"), "one row");
        one.rows.clear();
        assert!(!one.html().contains("<svg"), "none");
    }
}
