//! `growth`: what an operation costs as connections, entities, rooms, logs and the database grow
//! tenfold and a hundredfold.
//!
//! Along each axis the same small probe is made at every size, at rates far below what the server
//! can do, and what counts is the CPU time that the server spends on each operation. A round
//! measures every size once, and of the rounds medians are told: the machine may drift, but it
//! drifts for all sizes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::machine::{Machine, rfc3339};
use crate::report::{self, Figures, Report};
use crate::server::{self, ServerArgs};
use crate::span::Span;

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
    /// Write the report as JSON
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub json: Option<PathBuf>,
    /// Write the report as a self-contained page with plots
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub html: Option<PathBuf>,
    /// Write each plot as an SVG file of its own into this directory
    #[arg(long, value_name = "DIR")]
    #[serde(skip)]
    pub svg: Option<PathBuf>,
}

/// Measures, and tells.
///
/// # Errors
/// Where a server does not start or a probe cannot be made; what was measured before is told all
/// the same.
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
    report::deliver_to(std::slice::from_ref(&report), args.json.as_deref(), args.html.as_deref())?;
    if let Some(dir) = &args.svg {
        report::draw(&report, dir)?;
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
    let mut sheets = told::sheets(measured);
    let exponents = told::exponents(measured);
    let mut figures = Figures::default();
    figures.add("figures_worse_than_linear", told::worse_than_linear(&exponents) as f64);
    sheets.push(exponents);
    Ok(Report {
        scenario: "growth".into(),
        version: env!("CARGO_PKG_VERSION"),
        started_at: rfc3339(started),
        machine,
        parameters: serde_json::to_value(args).context("the arguments do not serialize")?,
        window_s: args.duration.0.as_secs_f64(),
        figures,
        latencies: BTreeMap::new(),
        series: Vec::new(),
        server: None,
        sheets,
        graphs: Vec::new(),
        errors: BTreeMap::new(),
        violations: Vec::new(),
    })
}
