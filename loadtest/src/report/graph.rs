//! Lines over the time of a run, for what its one series does not hold.

use serde::Serialize;

use super::html::escape;
use super::plot::{Line, plot};

pub use super::plot::Scale;

/// Lines that belong into one plot.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Graph {
    /// What it shows, with the unit.
    pub title: String,
    /// How its values are drawn.
    pub scale: Scale,
    /// The lines.
    pub lines: Vec<Course>,
}

/// One value over time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Course {
    /// What it is.
    pub name: String,
    /// `[seconds, value]`, ascending.
    pub points: Vec<(f64, f64)>,
}

impl Graph {
    /// As a part of the page; nothing where no line has two points.
    pub fn html(&self) -> String {
        let drawn: Vec<_> = self.lines.iter().filter(|line| line.points.len() > 1).collect();
        let Some(end) = drawn
            .iter()
            .filter_map(|line| line.points.last())
            .map(|point| point.0)
            .reduce(f64::max)
        else {
            return String::new();
        };
        let names: Vec<_> = drawn.iter().map(|line| escape(&line.name)).collect();
        let lines: Vec<_> = drawn
            .iter()
            .zip(&names)
            .map(|(line, name)| Line { name, points: line.points.clone() })
            .collect();
        let place = |at: f64| at / end;
        plot(&escape(&self.title), &lines, self.scale, &super::plot::seconds(end, &place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_needs_two_points() {
        let line = |name: &str, points: &[(f64, f64)]| Course {
            name: name.into(),
            points: points.to_vec(),
        };
        let lines = vec![line("<rss>", &[(30.0, 1.0), (60.0, 2.0)]), line("once", &[(30.0, 1.0)])];
        let html = Graph { title: "memory & more".into(), scale: Scale::Linear, lines }.html();
        assert!(
            html.contains("&lt;rss&gt;")
                && html.contains("memory &amp; more")
                && !html.contains("once"),
            "{html}"
        );
        assert_eq!(html.matches("<polyline").count(), 1);
        assert_eq!(
            Graph {
                title: "none".into(),
                scale: Scale::Log,
                lines: vec![line("once", &[(30.0, 1.0)])]
            }
            .html(),
            ""
        );
    }

    #[test]
    fn json_has_points_in_pairs() {
        let lines = vec![Course { name: "rss".into(), points: vec![(30.0, 1.5)] }];
        let json = serde_json::to_value(Graph { title: "MB".into(), scale: Scale::Linear, lines })
            .expect("it serializes");
        let want = serde_json::json!({ "title": "MB", "scale": "linear", "lines": [{ "name": "rss", "points": [[30.0, 1.5]] }] });
        assert_eq!(json, want);
    }
}
