//! The report as one page: no scripts, nothing loaded from elsewhere, light and dark.

use std::fmt::Write;

use super::Report;
use super::plot::{COLOURS, DRAWING, Line, Plot, Scale, escape};
use super::sheet::Sheet;
use crate::stats::Sample;

const STYLE: &str = "
body{font:15px/1.5 system-ui,sans-serif;color:var(--fg);background:var(--bg);margin:0 auto;max-width:76rem;padding:1.5rem}
h1{font-size:1.4rem;margin:0}h2{font-size:1.15rem;margin:0 0 .25rem}p{margin:.25rem 0;color:var(--soft)}
section{background:var(--card);border:1px solid var(--edge);border-radius:10px;padding:1.25rem;margin:1.25rem 0}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(26rem,100%),1fr));gap:1rem;margin-top:1rem}
.tables{display:flex;flex-wrap:wrap;gap:1.5rem;margin-top:1rem}.wide{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}td,th{padding:.15rem .6rem;text-align:right;border-bottom:1px solid var(--edge);font-weight:400}
td:first-child,th:first-child{text-align:left;padding-left:0}th{color:var(--soft)}
.bad{color:var(--bad);font-weight:600}code{font-size:.85em;overflow-wrap:anywhere}
svg{width:100%;max-width:44rem;height:auto}
";

pub fn page(reports: &[Report]) -> String {
    let mut out = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Greenroom load test</title><style>{COLOURS}{STYLE}{DRAWING}</style><h1>Greenroom load test</h1>"
    );
    if let Some(report) = reports.first() {
        let machine = &report.machine;
        let kernel = machine.kernel.as_deref().unwrap_or("unknown");
        let cpu = machine.cpu.as_deref().unwrap_or("unknown processor");
        let _ = write!(
            out,
            "<p>{} · version {} · {} cores, {} · kernel {}</p>",
            escape(&report.started_at),
            report.version,
            machine.cores,
            escape(cpu),
            escape(kernel)
        );
    }
    for report in reports {
        section(&mut out, report);
    }
    out.push_str("</html>\n");
    out
}

fn section(out: &mut String, report: &Report) {
    let _ = write!(out, "<section><h2>{}</h2>", escape(&report.scenario));
    let _ = write!(
        out,
        "<p>measured for {:.1} s · <code>{}</code></p>",
        report.window_s,
        escape(&report.parameters.to_string())
    );
    for violation in &report.violations {
        let _ = write!(out, "<p class=\"bad\">Not kept: {}</p>", escape(violation));
    }
    if report.violations.is_empty() {
        out.push_str("<p>All promises kept.</p>");
    }
    out.push_str("<div class=\"tables\">");
    for sheet in std::iter::once(Sheet::figures(report)).chain(Sheet::latencies(report)) {
        out.push_str(&sheet.html());
    }
    out.push_str("</div>");
    for sheet in &report.sheets {
        out.push_str(&sheet.html());
    }
    out.push_str("<div class=\"plots\">");
    for graph in plots(report).iter().chain(&report.graphs) {
        out.push_str(&graph.svg());
    }
    out.push_str("</div></section>");
}

/// The plots that every report has, as far as it measured what they show.
fn plots(report: &Report) -> Vec<Plot> {
    let ms = |us: u64| us as f64 / 1000.0;
    let curves = report.latencies.iter().map(|(lane, summary)| Line {
        name: lane.clone(),
        points: summary
            .curve
            .iter()
            .filter(|(p, _)| *p < 100.0)
            .map(|(p, us)| (*p, ms(*us)))
            .collect(),
    });
    let over_time = |name: &str, of: &dyn Fn(&Sample) -> Option<f64>| Line {
        name: name.to_owned(),
        points: report.series.iter().filter_map(|s| Some((s.at_s, of(s)?))).collect(),
    };
    let mut rates = vec![
        over_time("deliveries", &|s| Some(s.deliveries_per_s)),
        over_time("acks", &|s| Some(s.acks_per_s)),
        over_time("connections", &|s| Some(s.connects_per_s)),
    ];
    rates.retain(|line| line.points.len() > 1 && line.points.iter().any(|point| point.1 > 0.0));
    let mut timed =
        vec![over_time("p50", &|s| s.p50_us.map(ms)), over_time("p99", &|s| s.p99_us.map(ms))];
    timed.retain(|line| line.points.len() > 1);
    vec![
        Plot {
            title: "Latency by percentile, ms".into(),
            x_title: "percentile".into(),
            x: Scale::Nines,
            scale: Scale::Log,
            lines: curves.collect(),
        },
        Plot::over_time("Per second", Scale::Linear, rates),
        Plot::over_time("Latency over time, ms", Scale::Log, timed),
    ]
}
