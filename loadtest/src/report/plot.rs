//! Plots as SVG: lines over a linear or logarithmic axis, in the page's own colours.

use std::fmt::Write;

use serde::Serialize;

/// The colours, light and dark.
pub const COLOURS: &str = "
:root{color-scheme:light dark;--fg:#1c2420;--soft:#5d6b64;--bg:#fbfcfb;--card:#fff;--edge:#dde4e0;--bad:#b3261e;--l0:#1b7f5c;--l1:#b4560f;--l2:#3d5fc4;--l3:#8a3ea8;--l4:#7a6a10;--l5:#0e7490}
@media(prefers-color-scheme:dark){:root{--fg:#e4ebe7;--soft:#9aaaa2;--bg:#121614;--card:#1a201d;--edge:#2e3833;--bad:#ff8a80;--l0:#4fc796;--l1:#f0a060;--l2:#8aa6ff;--l3:#d093ea;--l4:#d8c860;--l5:#5fd0e6}}
";
/// How lines and their labels look in them.
pub const DRAWING: &str = "
svg text{font:11px system-ui,sans-serif;fill:var(--soft)}svg text.t{font-size:13px;fill:var(--fg)}svg text.y{text-anchor:end}svg text.x{text-anchor:middle}
svg path,svg polyline{fill:none;stroke-width:1.6}svg .g{stroke:var(--edge);stroke-width:1}.l0{stroke:var(--l0)}.l1{stroke:var(--l1)}.l2{stroke:var(--l2)}.l3{stroke:var(--l3)}.l4{stroke:var(--l4)}.l5{stroke:var(--l5)}
";

/// One line of a plot.
pub struct Line<'a> {
    /// Its name, for the legend.
    pub name: &'a str,
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
}

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 256.0;
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
    fn over(values: impl Iterator<Item = f64>, scale: Scale) -> Self {
        let (low, high) =
            values.fold((f64::INFINITY, 0.0f64), |(low, high), v| (low.min(v), high.max(v)));
        match scale {
            Scale::Linear => Self { scale, low: 0.0, high: nice(high) },
            Scale::Log => {
                let low = 10f64.powf(low.max(1e-3).log10().floor());
                let high = 10f64.powf(high.max(1e-3).log10().ceil());
                Self { scale, low, high: high.max(low * 10.0) }
            }
        }
    }

    fn at(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => value / self.high,
            Scale::Log => (value.max(self.low) / self.low).log10() / (self.high / self.low).log10(),
        }
    }

    fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => (0..=4).map(|i| self.high * f64::from(i) / 4.0).collect(),
            Scale::Log => std::iter::successors(Some(self.low), |v| Some(v * 10.0))
                .take_while(|v| *v <= self.high * 1.001)
                .collect(),
        }
    }
}

/// The next of 1, 2, 4, 8 times a power of ten: quarters of it are good labels.
fn nice(high: f64) -> f64 {
    let power = 10f64.powf(high.max(1e-3).log10().floor());
    [1.0, 2.0, 4.0, 8.0, 10.0]
        .into_iter()
        .map(|m| m * power)
        .find(|v| *v >= high)
        .unwrap_or(power * 10.0)
}

/// A plot with its title, axes and legend. `x_label` writes a value of the x axis, whose labelled
/// values are `x_ticks`.
pub fn plot(title: &str, lines: &[Line<'_>], y: Scale, x: &XAxis<'_>) -> String {
    let y_axis = Axis::over(lines.iter().flat_map(|line| line.points.iter().map(|p| p.1)), y);
    let (inner_w, inner_h) = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
    let px = |value: f64| LEFT + (x.place)(value).clamp(0.0, 1.0) * inner_w;
    let py = |value: f64| TOP + (1.0 - y_axis.at(value).clamp(0.0, 1.0)) * inner_h;
    let mut svg = format!(
        r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}"><text class="t" x="{LEFT}" y="16">{title}</text>"#
    );
    for tick in y_axis.ticks() {
        let at = py(tick);
        let _ = write!(svg, r#"<path class="g" d="M{LEFT} {at:.1}H{:.1}"/>"#, WIDTH - RIGHT);
        let _ = write!(
            svg,
            r#"<text class="y" x="{:.1}" y="{:.1}">{}</text>"#,
            LEFT - 6.0,
            at + 4.0,
            short(tick)
        );
    }
    for (value, label) in &x.ticks {
        let _ = write!(
            svg,
            r#"<text class="x" x="{:.1}" y="{:.1}">{label}</text>"#,
            px(*value),
            HEIGHT - BOTTOM + 16.0
        );
    }
    let _ = write!(
        svg,
        r#"<text class="x" x="{:.1}" y="{:.1}">{}</text>"#,
        LEFT + inner_w / 2.0,
        HEIGHT - 6.0,
        x.title
    );
    let mut legend = LEFT;
    for (i, line) in lines.iter().enumerate() {
        let points: Vec<String> =
            line.points.iter().map(|(vx, vy)| format!("{:.1},{:.1}", px(*vx), py(*vy))).collect();
        let _ = write!(
            svg,
            r#"<polyline class="l{}" points="{}"/>"#,
            i % LINE_COLOURS,
            points.join(" ")
        );
        let _ = write!(
            svg,
            r#"<path class="l{}" d="M{legend} 30h16"/><text x="{}" y="34">{}</text>"#,
            i % LINE_COLOURS,
            legend + 22.0,
            line.name
        );
        legend += 40.0 + 6.5 * line.name.len() as f64;
    }
    svg.push_str("</svg>");
    svg
}

/// A plot as a file of its own. It brings its ground along, for the page that shows it may be light
/// or dark.
pub fn standalone(plot: &str) -> String {
    let (head, rest) = plot.split_once('>').unwrap_or((plot, ""));
    let head = head.replacen("<svg", r#"<svg xmlns="http://www.w3.org/2000/svg""#, 1);
    format!(
        "{head} width=\"{WIDTH}\" height=\"{HEIGHT}\"><style>{COLOURS}{DRAWING}rect{{fill:var(--card)}}</style>\
         <rect width=\"100%\" height=\"100%\" rx=\"8\"/>{rest}\n"
    )
}

/// The x axis: where a value lies, from 0 to 1, and what is written under it.
pub struct XAxis<'a> {
    /// What it shows.
    pub title: &'a str,
    /// Where a value lies.
    pub place: &'a dyn Fn(f64) -> f64,
    /// The labelled values.
    pub ticks: Vec<(f64, String)>,
}

/// The axis of a run that lasted `end` seconds; `place` divides by that.
pub fn seconds(end: f64, place: &dyn Fn(f64) -> f64) -> XAxis<'_> {
    let ticks = (0..=4)
        .map(|i| end * f64::from(i) / 4.0)
        .map(|at| (at, short((at * 10.0).round() / 10.0)))
        .collect();
    XAxis { title: "seconds", place, ticks }
}

/// `1.5k`, `20M`, `0.1`.
pub fn short(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        v if v >= 1e6 => (value / 1e6, "M"),
        v if v >= 1e3 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let text = format!("{scaled:.3}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        for (value, want) in
            [(0.0, "0"), (0.1, "0.1"), (250.0, "250"), (1500.0, "1.5k"), (20_000_000.0, "20M")]
        {
            assert_eq!(short(value), want);
        }
    }

    #[test]
    fn axes_hold_their_values() {
        for (values, scale) in [
            (vec![0.0, 3.0, 970.0], Scale::Linear),
            (vec![0.2, 45.0], Scale::Log),
            (vec![7.0], Scale::Log),
            (vec![0.0], Scale::Log),
        ] {
            let axis = Axis::over(values.iter().copied(), scale);
            assert!(values.iter().all(|v| (0.0..=1.0).contains(&axis.at(*v))), "{values:?}");
            assert!(axis.ticks().len() >= 2, "{values:?}: {:?}", axis.ticks());
        }
    }

    #[test]
    fn a_file_stands_alone() {
        let x = XAxis { title: "s", place: &|v| v, ticks: Vec::new() };
        let svg = standalone(&plot(
            "p",
            &[Line { name: "a", points: vec![(0.0, 1.0), (1.0, 5.0)] }],
            Scale::Log,
            &x,
        ));
        assert!(
            svg.starts_with(r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 560 256""#),
            "{svg}"
        );
        assert!(
            svg.contains("prefers-color-scheme:dark") && svg.contains("<polyline class=\"l0\""),
            "{svg}"
        );
        assert_eq!((svg.matches("<svg").count(), svg.matches("</svg>").count()), (1, 1));
    }

    #[test]
    fn a_higher_value_is_drawn_higher() {
        let x = XAxis { title: "s", place: &|v| v / 2.0, ticks: vec![(0.0, "0".into())] };
        let svg = plot(
            "p",
            &[Line { name: "a", points: vec![(0.0, 0.0), (1.0, 5.0), (2.0, 10.0)] }],
            Scale::Linear,
            &x,
        );
        assert!(svg.contains(r#"points="64.0,216.0 300.0,130.0 536.0,44.0""#), "{svg}");
    }
}
