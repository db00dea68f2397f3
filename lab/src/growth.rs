//! `growth`: what an operation costs as connections, entities, rooms, logs and the database grow
//! tenfold and a hundredfold.
//!
//! Along each axis the same small probe is made at every size, at rates far below what the server
//! can do, and what counts is the CPU time that the server spends on each operation. A round
//! measures every size once, and of the rounds medians are told: the machine may drift, but it
//! drifts for all sizes.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use serde::Serialize;

use greenroom_loadtest::common::Output;
use greenroom_loadtest::common::Span;
use greenroom_loadtest::machine::Machine;
use greenroom_loadtest::report::plot::{COLOURS, DRAWING, HEIGHT, Plot, WIDTH};
use greenroom_loadtest::report::{self, Report};
use greenroom_loadtest::server::{self, ServerArgs};

mod axis;
mod bench;
mod crowd;
mod database;
mod exponent;
mod fill;
mod history;
mod probe;
mod room;
mod told;

use axis::{Axis, Most};
use told::Measured;

/// Each size of each axis has a server of its own.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Args {
    /// The server to start.
    #[command(flatten)]
    #[serde(flatten)]
    pub server: ServerArgs,
    /// Cores of this harness
    #[arg(long, value_name = "LIST")]
    pub client_cpus: Option<String>,
    /// Only these axes
    #[arg(long, value_delimiter = ',', value_enum)]
    pub axes: Vec<Axis>,
    /// The largest size of an axis, where the default will not do: `history=1000000`
    #[arg(long, value_delimiter = ',', value_name = "AXIS=N")]
    pub most: Vec<Most>,
    /// How often everything is measured; medians are told
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// How long each rate is measured
    #[arg(long, default_value = "2s")]
    pub duration: Span,
    /// How long it runs before
    #[arg(long, default_value = "500ms")]
    pub warmup: Span,
    /// Ops a second: few enough for each to be a commit of its own
    #[arg(long, default_value_t = 500.0)]
    pub rate: f64,
    /// Deliveries a second, of signals and of posts
    #[arg(long, default_value_t = 10_000.0)]
    pub deliveries: f64,
    /// Size of a body
    #[arg(long, default_value_t = 100)]
    pub bytes: usize,
    /// Where the report goes.
    #[command(flatten)]
    #[serde(skip)]
    pub output: Output,
    /// Write each plot as an SVG file of its own into this directory
    #[arg(long, value_name = "DIR")]
    #[serde(skip)]
    pub svg: Option<PathBuf>,
}

/// Measures, and tells.
pub async fn run(args: Args) -> Result<()> {
    let (files, _) = rlimit::getrlimit(rlimit::Resource::NOFILE)
        .context("the limit on open files is not known")?;
    let chosen =
        Axis::ALL.into_iter().filter(|axis| args.axes.is_empty() || args.axes.contains(axis));
    let points: Vec<_> = chosen
        .flat_map(|axis| axis.sizes(&args.most, files).into_iter().map(move |size| (axis, size)))
        .collect();
    // Asked before this process is pinned, and sees a part of it.
    let machine = Machine::this();
    if let Some(cpus) = &args.client_cpus {
        server::pin_this_process(cpus)?;
    }
    let started = SystemTime::now();
    let mut measured = Measured::new();
    let outcome = measure(&args, &points, &mut measured).await;
    let report = tell(&args, &measured, started, machine)?;
    report::deliver(std::slice::from_ref(&report), &args.output)?;
    if let Some(dir) = &args.svg {
        draw(&report, dir)?;
    }
    outcome
}

/// All rounds of all points.
async fn measure(args: &Args, points: &[(Axis, u64)], measured: &mut Measured) -> Result<()> {
    let mut filled = database::Filled::default();
    for round in 1..=args.rounds.max(1) {
        for (axis, size) in points.iter().copied() {
            eprintln!("round {round}: {size} {}", axis.unit());
            let figures = match axis {
                Axis::Connections => crowd::connections(args, size).await,
                Axis::Entities => crowd::entities(args, size).await,
                Axis::Room => room::measure(args, size).await,
                Axis::History => history::measure(args, size).await,
                Axis::Database => database::measure(args, &mut filled, size).await,
            };
            let figures =
                figures.with_context(|| format!("{size} {} could not be measured", axis.unit()))?;
            // Of rounds that differ, the report tells the middle one only.
            eprintln!(
                "  {}",
                figures
                    .iter()
                    .map(|(name, figure)| format!("{name}: {figure:.2}"))
                    .collect::<Vec<_>>()
                    .join(" · ")
            );
            measured.entry((axis, size)).or_default().push(figures);
        }
    }
    Ok(())
}

fn tell(args: &Args, measured: &Measured, started: SystemTime, machine: Machine) -> Result<Report> {
    let mut report = Report::empty("growth", started, args)?;
    (report.machine, report.window_s) = (machine, args.duration.0.as_secs_f64());
    let (sheets, plots) = told::sheets(measured);
    let exponents = told::exponents(measured);
    let worse = told::worse_than_linear(&exponents);
    report.figures.add("figures_worse_than_linear", worse as f64);
    report.sheets = sheets;
    report.sheets.push(exponents);
    report.graphs = plots;
    Ok(report)
}

/// Writes each plot as an SVG file of its own, named by what it shows.
fn draw(report: &Report, dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("`{}` cannot be made", dir.display()))?;
    for plot in &report.graphs {
        let words = format!("{} {}", report.scenario, plot.title).to_lowercase();
        let words: Vec<_> =
            words.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
        report::write(&dir.join(words.join("-")).with_extension("svg"), file(plot))?;
    }
    Ok(())
}

/// A plot as a file of its own. It brings its background along, since the page that shows it may be
/// light or dark.
fn file(plot: &Plot) -> String {
    let svg = plot.svg();
    let (head, rest) = svg.split_once('>').unwrap_or((&svg, ""));
    let head = head.replacen("<svg", r#"<svg xmlns="http://www.w3.org/2000/svg""#, 1);
    format!(
        "{head} width=\"{WIDTH}\" height=\"{HEIGHT}\"><style>{COLOURS}{DRAWING}\
         rect{{fill:var(--card)}}</style><rect width=\"100%\" height=\"100%\" rx=\"8\"/>{rest}\n"
    )
}

#[cfg(test)]
mod tests {
    use greenroom_loadtest::report::plot::{Line, Scale};

    use super::*;

    #[test]
    fn a_file_stands_alone() {
        let line = Line { name: "a".into(), points: vec![(0.0, 1.0), (1.0, 5.0)] };
        let svg = file(&Plot::over_time("a", Scale::Log, vec![line]));
        let head = r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 560 256""#;
        assert!(svg.starts_with(head) && svg.contains("prefers-color-scheme:dark"), "{svg}");
        assert_eq!((svg.matches("<svg").count(), svg.matches("</svg>").count()), (1, 1));
    }
}
