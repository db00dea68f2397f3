//! What all looks come to: figures, a table of the first third and the last, and lines over time.

use std::collections::BTreeSet;

use super::growth::{Thirds, mean, middle, most};
use super::watch::{CLASSES, Look, Watch};
use greenroom_loadtest::report::Report;
use greenroom_loadtest::report::plot::{Line, Plot, Scale};
use greenroom_loadtest::report::sheet::{Row, Sheet};
use greenroom_loadtest::stats::{Lane, Summary};

const MB: f64 = 1e6;

/// Picks one figure, in microseconds.
type Pick = fn(&Summary) -> u64;

/// Adds everything to a report.
pub fn tell(watch: &Watch, report: &mut Report) {
    let looks = &watch.looks;
    let rss = values(looks, |look| look.rss_bytes);
    let disk = values(looks, disk_bytes);
    let p99 = |lane| values(looks, |look| latency(look, lane, |summary| summary.p99_us));
    let growth = |values: &[f64], sum| Thirds::of(values, sum).and_then(Thirds::growth_percent);
    let figures = &mut report.figures;
    figures.add("samples", looks.len() as f64);
    figures.add_known("rss_growth_percent", growth(&rss, mean));
    figures.add_known("rss_bytes_max", Some(most(&rss)));
    // What a soak is about most: what is on disk before it is delivered.
    figures.add_known("p99_growth_percent", growth(&p99(Lane::Post), middle));
    let worst = CLASSES.into_iter().filter_map(|lane| growth(&p99(lane), middle)).reduce(f64::max);
    figures.add_known("p99_growth_percent_of_the_worst_class", worst);
    figures.add_known("disk_bytes_max", Some(most(&disk)));
    figures.add_known("disk_growth_percent", growth(&disk, mean));
    figures.add_known("open_files_max", Some(most(&values(looks, |look| look.open_files))));
    watch.removed().for_each(|(name, removed)| figures.add(name, removed as f64));
    report.sheets.push(sheet(looks));
    report.graphs.extend(graphs(looks));
}

/// What `of` finds at each look that has it.
fn values(looks: &[Look], of: impl Fn(&Look) -> Option<f64>) -> Vec<f64> {
    looks.iter().filter_map(of).collect()
}

/// A figure of a class' latency in one interval, in microseconds; nothing where there was none.
fn latency(look: &Look, lane: Lane, of: Pick) -> Option<f64> {
    let summary = &look.latencies[CLASSES.iter().position(|class| *class == lane)?];
    (summary.count > 0).then(|| of(summary) as f64)
}

fn disk_bytes(look: &Look) -> Option<f64> {
    look.disk.as_ref().map(|disk| disk.bytes() as f64)
}

/// The length of one part of the data directory; 0 while it is not there.
fn part_bytes(look: &Look, part: &str) -> Option<f64> {
    look.disk.as_ref().map(|disk| disk.parts.get(part).map_or(0.0, |part| part.bytes as f64))
}

/// How many files one part of the data directory has.
fn part_files(look: &Look, part: &str) -> Option<f64> {
    look.disk.as_ref().map(|disk| disk.parts.get(part).map_or(0.0, |part| part.files.len() as f64))
}

/// All parts that were ever there.
fn parts(looks: &[Look]) -> BTreeSet<&str> {
    looks
        .iter()
        .filter_map(|look| look.disk.as_ref())
        .flat_map(|disk| disk.parts.keys().map(String::as_str))
        .collect()
}

/// The first third against the last.
fn sheet(looks: &[Look]) -> Sheet {
    let row = |name: String, values: Vec<f64>, sum: fn(&[f64]) -> f64| {
        let thirds = Thirds::of(&values, sum)?;
        Some(Row {
            name,
            figures: vec![Some(thirds.first), Some(thirds.last), thirds.growth_percent()],
        })
    };
    let megabytes =
        |of: &dyn Fn(&Look) -> Option<f64>| values(looks, |look| of(look).map(|bytes| bytes / MB));
    let mut rows = vec![
        row("memory MB, mean".into(), megabytes(&|look| look.rss_bytes), mean),
        row("memory MB, most".into(), megabytes(&|look| look.rss_bytes), most),
        row("CPU %, mean".into(), values(looks, |look| look.cpu_percent), mean),
        row("on disk MB, mean".into(), megabytes(&disk_bytes), mean),
        row("on disk MB, most".into(), megabytes(&disk_bytes), most),
    ];
    for part in parts(looks) {
        rows.push(row(format!("{part} MB, mean"), megabytes(&|look| part_bytes(look, part)), mean));
    }
    rows.push(row("open files, mean".into(), values(looks, |look| look.open_files), mean));
    rows.push(row("open on disk, mean".into(), values(looks, |look| look.open_on_disk), mean));
    for lane in CLASSES {
        for (name, of) in quantiles() {
            let values = values(looks, |look| latency(look, lane, of).map(|us| us / 1000.0));
            rows.push(row(format!("{} {name} ms, middle", lane.name()), values, middle));
        }
    }
    let columns = ["first third", "last third", "growth %"].map(str::to_owned).to_vec();
    Sheet { title: "over time".into(), columns, rows: rows.into_iter().flatten().collect() }
}

fn quantiles() -> [(&'static str, Pick); 2] {
    [("p50", |summary| summary.p50_us), ("p99", |summary| summary.p99_us)]
}

/// Everything over time; graphs without a line are left out.
fn graphs(looks: &[Look]) -> Vec<Plot> {
    let course = |name: &str, of: &dyn Fn(&Look) -> Option<f64>| Line {
        name: name.to_owned(),
        points: looks.iter().filter_map(|look| Some((look.at_s, of(look)?))).collect(),
    };
    let in_mb = |name: &str, of: &dyn Fn(&Look) -> Option<f64>| {
        course(name, &|look| of(look).map(|bytes| bytes / MB))
    };
    let mut graphs: Vec<Plot> = Vec::new();
    let mut add = |title: String, scale, lines: Vec<Line>| {
        let lines: Vec<_> = lines.into_iter().filter(|line| !line.points.is_empty()).collect();
        if !lines.is_empty() {
            graphs.push(Plot::over_time(&title, scale, lines));
        }
    };
    for (name, of) in quantiles() {
        let lines = CLASSES.map(|lane| {
            course(&lane.name(), &|look| latency(look, lane, of).map(|us| us / 1000.0))
        });
        add(format!("{name} of each interval, ms"), Scale::Log, lines.into());
    }
    add("Server memory, MB".into(), Scale::Linear, vec![in_mb("resident", &|look| look.rss_bytes)]);
    add(
        "Server CPU, % of a core".into(),
        Scale::Linear,
        vec![course("CPU", &|look| look.cpu_percent)],
    );
    let mut sizes = vec![in_mb("all", &disk_bytes)];
    sizes.extend(parts(looks).into_iter().map(|part| in_mb(part, &|look| part_bytes(look, part))));
    add("On disk, MB".into(), Scale::Linear, sizes);
    let files = parts(looks).into_iter().map(|part| course(part, &|look| part_files(look, part)));
    add("Files on disk".into(), Scale::Linear, files.collect());
    let open =
        vec![course("all", &|look| look.open_files), course("on disk", &|look| look.open_on_disk)];
    add("Open files".into(), Scale::Linear, open);
    graphs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk, Part};
    use greenroom_loadtest::stats::Latencies;

    fn look(at_s: f64, post_us: u64, wal: u64) -> Look {
        let lane = Latencies::default();
        lane.record([post_us]);
        let wal = Part { bytes: wal, files: (0..wal).map(|i| format!("{i}.wal")).collect() };
        Look {
            at_s,
            rss_bytes: Some(at_s * 1e6),
            cpu_percent: None,
            open_files: None,
            open_on_disk: None,
            disk: Some(Disk { parts: [("wal".to_owned(), wal)].into() }),
            latencies: CLASSES.map(|class| {
                if class == Lane::Post { lane.summary() } else { Latencies::default().summary() }
            }),
        }
    }

    #[test]
    fn only_what_was_seen_is_told() {
        let looks = [look(30.0, 1000, 2), look(60.0, 1900, 3), look(90.0, 2000, 4)];
        let sheet = sheet(&looks);
        let rows: Vec<_> = sheet
            .rows
            .iter()
            .map(|row| (row.name.as_str(), row.figures[2].map(f64::round)))
            .collect();
        let want = [
            ("memory MB, mean", 200.0),
            ("memory MB, most", 200.0),
            ("on disk MB, mean", 100.0),
            ("on disk MB, most", 100.0),
            ("wal MB, mean", 100.0),
            ("post p50 ms, middle", 100.0),
            ("post p99 ms, middle", 100.0),
        ];
        assert_eq!(rows, want.map(|(name, growth)| (name, Some(growth))));

        let graphs = graphs(&looks);
        let titles: Vec<_> =
            graphs.iter().map(|graph| (graph.title.as_str(), graph.lines.len())).collect();
        let want = [
            ("p50 of each interval, ms", 1),
            ("p99 of each interval, ms", 1),
            ("Server memory, MB", 1),
            ("On disk, MB", 2),
            ("Files on disk", 1),
        ];
        assert_eq!(titles, want);
        assert_eq!(graphs[1].lines[0].points, [(30.0, 1.0), (60.0, 1.9), (90.0, 2.0)]);
        assert_eq!(graphs[4].lines[0].points, [(30.0, 2.0), (60.0, 3.0), (90.0, 4.0)]);
    }

    #[test]
    fn a_part_that_comes_later_was_empty_before() {
        let mut looks = [look(30.0, 1000, 2), look(60.0, 1000, 3)];
        looks[1]
            .disk
            .as_mut()
            .expect("it was looked at")
            .parts
            .insert("vlog".into(), Part { bytes: 2_000_000, ..Part::default() });
        let graphs = graphs(&looks);
        let sizes = graphs
            .iter()
            .find(|graph| graph.title == "On disk, MB")
            .expect("the disk was looked at");
        let vlog =
            sizes.lines.iter().find(|line| line.name == "vlog").expect("it is there in the end");
        assert_eq!(vlog.points, [(30.0, 0.0), (60.0, 2.0)]);
    }
}
