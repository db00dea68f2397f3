//! Plots as SVG: lines between two axes, in the page's own colours.

use std::fmt::Write;

use serde::Serialize;

/// The colours, light and dark.
pub const COLOURS: &str = "
:root{color-scheme:light dark;--fg:#1c2420;--soft:#5d6b64;--bg:#fbfcfb;--card:#fff;--edge:#dde4e0;--bad:#b3261e;
--l0:#1b7f5c;--l1:#b4560f;--l2:#3d5fc4;--l3:#8a3ea8;--l4:#7a6a10;--l5:#0e7490}
@media(prefers-color-scheme:dark){:root{--fg:#e4ebe7;--soft:#9aaaa2;--bg:#121614;--card:#1a201d;--edge:#2e3833;--bad:#ff8a80;
--l0:#4fc796;--l1:#f0a060;--l2:#8aa6ff;--l3:#d093ea;--l4:#d8c860;--l5:#5fd0e6}}
";
/// How lines and their labels look in them.
pub const DRAWING: &str = "
svg text{font:11px system-ui,sans-serif;fill:var(--soft)}svg text.t{font-size:13px;fill:var(--fg)}
svg text.y{text-anchor:end}svg text.x{text-anchor:middle}
svg path,svg polyline{fill:none;stroke-width:1.6}svg .g{stroke:var(--edge);stroke-width:1}
.l0{stroke:var(--l0)}.l1{stroke:var(--l1)}.l2{stroke:var(--l2)}.l3{stroke:var(--l3)}.l4{stroke:var(--l4)}.l5{stroke:var(--l5)}
";

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plot {
    /// What it shows, with the unit.
    pub title: String,
    pub x_title: String,
    #[serde(skip)]
    pub x: Scale,
    pub scale: Scale,
    pub lines: Vec<Line>,
}

/// One line of a plot.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    pub name: String,
    /// Its points; x ascending.
    pub points: Vec<(f64, f64)>,
}

/// How an axis runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// Evenly from 0.
    Linear,
    /// By powers of ten.
    Log,
    /// By the distance of a percentile from 100: each nine gets the same room.
    Nines,
}

pub const WIDTH: f64 = 560.0;
pub const HEIGHT: f64 = 256.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 40.0;
/// The page's colours for lines; further lines begin with the first again.
const LINE_COLOURS: usize = 6;

/// An axis: where a value lies, from 0 to 1, and the values to label.
struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
}

impl Axis {
    /// An axis that holds all values, and ends with the last where it need not be `round`.
    fn over(values: impl Iterator<Item = f64>, scale: Scale, round: bool) -> Self {
        let ends = |(low, high): (f64, f64), value: f64| (low.min(value), high.max(value));
        let (low, high) = values.fold((f64::INFINITY, 1e-3), ends);
        let (low, high) = match scale {
            Scale::Nines => (0.0, 99.99),
            Scale::Linear => (0.0, if round { nice(high) } else { high }),
            Scale::Log if round => {
                let decade = |value: f64, to: fn(f64) -> f64| 10f64.powf(to(value.log10()));
                let low = decade(low.clamp(1e-3, high), f64::floor);
                (low, decade(high, f64::ceil).max(low * 10.0))
            }
            Scale::Log => (low.clamp(1e-3, high), high.max(low.max(1e-3) * 1.01)),
        };
        Self { scale, low, high }
    }

    fn at(&self, value: f64) -> f64 {
        let place = match self.scale {
            Scale::Linear => value / self.high,
            Scale::Log => (value.max(self.low) / self.low).ln() / (self.high / self.low).ln(),
            Scale::Nines => -(1.0 - value.min(self.high) / 100.0).log10() / 4.0,
        };
        place.clamp(0.0, 1.0)
    }

    fn ticks(&self) -> Vec<f64> {
        let decades = || std::iter::successors(Some(self.low), |v| Some(v * 10.0));
        match self.scale {
            Scale::Linear => (0..=4).map(|i| self.high * f64::from(i) / 4.0).collect(),
            Scale::Log => decades().take_while(|v| *v <= self.high * 1.001).collect(),
            Scale::Nines => vec![0.0, 50.0, 90.0, 99.0, 99.9, 99.99],
        }
    }
}

/// The next of 1, 2, 4, 8 times a power of ten: quarters of it are good labels.
fn nice(high: f64) -> f64 {
    let power = 10f64.powf(high.log10().floor());
    let nice = [1.0, 2.0, 4.0, 8.0].map(|m| m * power).into_iter().find(|v| *v >= high);
    nice.unwrap_or(power * 10.0)
}

impl Plot {
    /// Lines over the seconds of a run.
    pub fn over_time(title: &str, scale: Scale, lines: Vec<Line>) -> Self {
        Self { title: title.into(), x_title: "seconds".into(), x: Scale::Linear, scale, lines }
    }

    /// The plot with its title, axes and legend; nothing where there is nothing to draw.
    pub fn svg(&self) -> String {
        let lines: Vec<_> = self.lines.iter().filter(|line| !line.points.is_empty()).collect();
        if lines.is_empty() {
            return String::new();
        }
        let points = || lines.iter().flat_map(|line| line.points.iter());
        let x = Axis::over(points().map(|point| point.0), self.x, false);
        let y = Axis::over(points().map(|point| point.1), self.scale, true);
        let px = |value: f64| LEFT + x.at(value) * (WIDTH - LEFT - RIGHT);
        let py = |value: f64| TOP + (1.0 - y.at(value)) * (HEIGHT - TOP - BOTTOM);
        let title = escape(&self.title);
        let mut svg = format!(
            r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}"><text class="t" x="{LEFT}" y="16">{title}</text>"#
        );
        let mut text = |class: &str, x: f64, y: f64, words: &str| {
            let _ = write!(svg, r#"<text class="{class}" x="{x:.1}" y="{y:.1}">{words}</text>"#);
        };
        y.ticks().into_iter().for_each(|v| text("y", LEFT - 6.0, py(v) + 4.0, &short(v)));
        let rounded = |v: f64| if self.x == Scale::Linear { (v * 10.0).round() / 10.0 } else { v };
        for tick in x.ticks() {
            text("x", px(tick), HEIGHT - BOTTOM + 16.0, &short(rounded(tick)));
        }
        let middle = LEFT + (WIDTH - LEFT - RIGHT) / 2.0;
        text("x", middle, HEIGHT - 6.0, &escape(&self.x_title));
        let mut legend = LEFT;
        for line in &lines {
            text("", legend + 22.0, 34.0, &escape(&line.name));
            legend += 40.0 + 6.5 * line.name.len() as f64;
        }
        for tick in y.ticks() {
            let at = py(tick);
            let _ = write!(svg, r#"<path class="g" d="M{LEFT} {at:.1}H{:.1}"/>"#, WIDTH - RIGHT);
        }
        let mut legend = LEFT;
        for (i, line) in lines.iter().enumerate() {
            let place = |(x, y): &(f64, f64)| format!("{:.1},{:.1}", px(*x), py(*y));
            let (points, i) = (line.points.iter().map(place).collect::<Vec<_>>(), i % LINE_COLOURS);
            let points = points.join(" ");
            let _ = write!(
                svg,
                r#"<polyline class="l{i}" points="{points}"/><path class="l{i}" d="M{legend} 30h16"/>"#
            );
            legend += 40.0 + 6.5 * line.name.len() as f64;
        }
        svg + "</svg>"
    }
}

/// `1.5k`, `20M`, `0.1`.
fn short(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        v if v >= 1e6 => (value / 1e6, "M"),
        v if v >= 1e3 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let text = format!("{scaled:.3}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(scale: Scale, points: &[(f64, f64)]) -> Plot {
        let lines = vec![Line { name: "<a>".into(), points: points.to_vec() }];
        Plot::over_time("a & b", scale, lines)
    }

    #[test]
    fn labels() {
        let table =
            [(0.0, "0"), (0.1, "0.1"), (250.0, "250"), (1500.0, "1.5k"), (20_000_000.0, "20M")];
        for (value, want) in table {
            assert_eq!(short(value), want);
        }
    }

    #[test]
    fn axes_hold_their_values() {
        for values in [vec![0.0, 3.0, 970.0], vec![0.2, 45.0], vec![7.0], vec![0.0]] {
            for scale in [Scale::Linear, Scale::Log] {
                let axis = Axis::over(values.iter().copied(), scale, true);
                let held = values.iter().all(|v| (0.0..=1.0).contains(&axis.at(*v)));
                assert!(held && axis.ticks().len() >= 2, "{values:?}: {:?}", axis.ticks());
            }
        }
        let nines = Axis::over([].into_iter(), Scale::Nines, false);
        assert_eq!(
            [0.0, 90.0, 99.0, 100.0].map(|p| (nines.at(p) * 4.0).round()),
            [0.0, 1.0, 2.0, 4.0]
        );
    }

    #[test]
    fn a_higher_value_is_drawn_higher_and_names_are_escaped() {
        let svg = plot(Scale::Linear, &[(0.0, 0.0), (1.0, 5.0), (2.0, 10.0)]).svg();
        assert!(svg.contains(r#"points="64.0,216.0 300.0,130.0 536.0,44.0""#), "{svg}");
        assert!(svg.contains("&lt;a&gt;") && svg.contains("a &amp; b"), "{svg}");
        assert_eq!(plot(Scale::Linear, &[]).svg(), "");
        assert!(!plot(Scale::Log, &[(1.0, 1.0)]).svg().contains("NaN"), "one point");
    }
}
