//! The report as one page: no scripts, nothing loaded from elsewhere, light and dark.

use std::fmt::Write;

use super::Report;
use super::plot::{COLOURS, DRAWING, Line, Scale, XAxis, plot, seconds};
use super::table::number;

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

/// The page.
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
    reports.iter().for_each(|report| section(&mut out, report));
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
    out.push_str("<div class=\"tables\"><div class=\"wide\"><table>");
    for (name, value) in &report.figures.0 {
        let _ = write!(
            out,
            "<tr><td>{}</td><td>{}</td></tr>",
            escape(&name.replace('_', " ")),
            number(*value)
        );
    }
    for (code, count) in &report.errors {
        let _ = write!(
            out,
            "<tr class=\"bad\"><td>error {}</td><td>{}</td></tr>",
            escape(code),
            number(*count as f64)
        );
    }
    out.push_str("</table></div>");
    latencies(out, report);
    out.push_str("</div>");
    report.sheets.iter().for_each(|sheet| out.push_str(&sheet.html()));
    out.push_str("<div class=\"plots\">");
    plots(out, report);
    report.graphs.iter().for_each(|graph| out.push_str(&graph.html()));
    out.push_str("</div></section>");
}

fn latencies(out: &mut String, report: &Report) {
    if report.latencies.is_empty() {
        return;
    }
    out.push_str("<div class=\"wide\"><table><tr><th>latency, ms</th><th>count</th><th>p50</th><th>p90</th><th>p99</th><th>p99.9</th><th>max</th></tr>");
    for (lane, s) in &report.latencies {
        let _ = write!(out, "<tr><td>{}</td><td>{}</td>", escape(lane), number(s.count as f64));
        for us in [s.p50_us, s.p90_us, s.p99_us, s.p999_us, s.max_us] {
            let _ = write!(out, "<td>{:.2}</td>", us as f64 / 1000.0);
        }
        out.push_str("</tr>");
    }
    out.push_str("</table></div>");
}

fn plots(out: &mut String, report: &Report) {
    if !report.latencies.is_empty() {
        // Each nine gets the same room: 90 %, 99 %, 99.9 %, 99.99 %.
        let place = |percentile: f64| (1.0 / (1.0 - percentile.min(99.99) / 100.0)).log10() / 4.0;
        let ticks = [0.0, 50.0, 90.0, 99.0, 99.9, 99.99].map(|p| (p, format!("{p}"))).to_vec();
        let curve = |s: &crate::stats::Summary| {
            s.curve
                .iter()
                .filter(|(p, _)| *p < 100.0)
                .map(|(p, us)| (*p, *us as f64 / 1000.0))
                .collect()
        };
        let lines: Vec<_> = report
            .latencies
            .iter()
            .map(|(lane, s)| Line { name: lane, points: curve(s) })
            .collect();
        out.push_str(&plot(
            "Latency by percentile, ms",
            &lines,
            Scale::Log,
            &XAxis { title: "percentile", place: &place, ticks },
        ));
    }
    let Some(last) = report.series.last().filter(|_| report.series.len() > 1) else { return };
    let end = last.at_s;
    let place = |at: f64| at / end;
    let x = || seconds(end, &place);
    let over_time = |of: &dyn Fn(&super::Sample) -> f64| {
        report.series.iter().map(|s| (s.at_s, of(s))).collect::<Vec<_>>()
    };
    let rates = [
        Line { name: "deliveries", points: over_time(&|s| s.deliveries_per_s) },
        Line { name: "acks", points: over_time(&|s| s.acks_per_s) },
        Line { name: "connections", points: over_time(&|s| s.connects_per_s) },
    ];
    let rates: Vec<_> =
        rates.into_iter().filter(|line| line.points.iter().any(|p| p.1 > 0.0)).collect();
    if !rates.is_empty() {
        out.push_str(&plot("Per second", &rates, Scale::Linear, &x()));
    }
    let timed = |of: &dyn Fn(&super::Sample) -> Option<u64>| {
        report
            .series
            .iter()
            .filter_map(|s| of(s).map(|us| (s.at_s, us as f64 / 1000.0)))
            .collect::<Vec<_>>()
    };
    let lines = [
        Line { name: "p50", points: timed(&|s| s.p50_us) },
        Line { name: "p99", points: timed(&|s| s.p99_us) },
    ];
    if !lines[0].points.is_empty() {
        out.push_str(&plot("Latency over time, ms", &lines, Scale::Log, &x()));
    }
}

/// Text as HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
