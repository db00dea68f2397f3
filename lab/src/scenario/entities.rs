//! `entities`: what many entities cost, awake and asleep. Many are woken, which takes memory, and
//! fall asleep, which a neighbour must not feel; others that sleep, or never were, are asked for at
//! a rate; and one with a long log comes back.

use std::sync::Arc;

use anyhow::{Result, ensure};
use clap::ValueEnum;
use greenroom_loadtest::scenario::Scenario;
use greenroom_protocol::EntityId;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use greenroom_loadtest::common::Common;
use greenroom_loadtest::common::Span;
use greenroom_loadtest::report::Report;
use greenroom_loadtest::run::{Run, Window};
use greenroom_loadtest::server::Setup;
use greenroom_loadtest::stats::Lane;

mod awake;
mod cold;
mod crew;
mod findings;
mod neighbour;
mod recovery;
mod rest;
mod visit;

use findings::Findings;
use neighbour::{ALL_ROOMS, Neighbour};
use rest::Rest;

/// The window of measurement is that of the cold starts, where there are any; `--duration` is
/// measured for either sort of them.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Args {
    /// What to measure
    #[arg(long, value_enum, value_delimiter = ',', default_value = "awake,cold,recovery")]
    pub phases: Vec<Phase>,
    /// Entities that are awake at once
    #[arg(long, default_value_t = 100_000)]
    pub awake: u64,
    /// What those have in them
    #[arg(long, value_enum, default_value_t = Kept::None)]
    pub state: Kept,
    /// Cold starts per second
    #[arg(long, default_value_t = 2000.0)]
    pub rate: f64,
    /// Names that there are to be asked for
    #[arg(long, default_value_t = 1_000_000)]
    pub addressed: u64,
    /// Go through all of them, after those at the rate as fast as the server answers
    #[arg(long)]
    pub all: bool,
    /// Events of the entity with a long log
    #[arg(long, default_value_t = 1_000_000)]
    pub events: u64,
    /// Events of those with a short log
    #[arg(long, default_value_t = 1000)]
    pub small_events: u64,
    /// Events that each of them gets once it was read, for `crashed` to find behind the snapshot
    #[arg(long, default_value_t = 900)]
    pub tail: u64,
    /// Connections that ask
    #[arg(long, default_value_t = 16)]
    pub connections: usize,
    /// Requests per second of the neighbour
    #[arg(long, default_value_t = 200.0)]
    pub neighbour_rate: f64,
    /// Size of a post's body
    #[arg(long, default_value_t = 100)]
    pub bytes: usize,
    /// How long the number of those awake may stand still while they should fall asleep; without
    /// `--metrics`, how long to wait
    #[arg(long, default_value = "2m")]
    pub asleep_within: Span,
    /// Kind of the entities: one of rooms
    #[arg(long, default_value = "room")]
    pub kind: String,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Memory of those awake, and their falling asleep.
    Awake,
    /// Cold starts at a rate.
    Cold,
    /// The first read of entities with a short and a long log, after they slept.
    Recovery,
    /// The same after a crash, of what a run of that phase with the same `--run` has left.
    Crashed,
}

/// What is in an entity that is awake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kept {
    /// Nothing: it is read, and never was written.
    None,
    /// One post of `--bytes`.
    Post,
}

/// What all phases share.
pub struct Stage {
    run: Run,
    args: Args,
    /// What fills a post up.
    pad: String,
}

impl Scenario for Args {
    const NAME: &'static str = "entities";

    async fn run(self, run: Run) -> Result<Report> {
        ensure!(
            self.rate > 0.0 && self.neighbour_rate > 0.0,
            "`--rate` and `--neighbour-rate` must be above 0"
        );
        let stage = Arc::new(Stage::new(run, self)?);
        let (run, args) = (&stage.run, &stage.args);
        let wanted = |phase| args.phases.contains(&phase);
        let mut found = Findings::default();
        let (first, began) = (run.source.snapshot().await?, Instant::now());
        let rest = Rest::begin(run, ALL_ROOMS, args.asleep_within.0).await?;
        let mut neighbour = Neighbour::come(&stage, args.neighbour_rate).await?;
        // Its rooms are awake after that, and are no part of what is counted.
        sleep(run.common.warmup.0).await;

        // Memory comes first: what a server has used before and kept for later would not show.
        if wanted(Phase::Awake) {
            awake::run(&stage, &mut neighbour, &rest, &mut found).await?;
        }
        if wanted(Phase::Cold) {
            cold::prepare(&stage, &mut neighbour, &rest, &mut found).await?;
        }
        let mut window = None;
        if wanted(Phase::Cold) {
            let mut measured = Ok(());
            let cold_starts =
                async { measured = cold::measure(&stage, &mut neighbour, &mut found).await };
            window = Some(run.measure(Lane::Ack, cold_starts).await?);
            measured?;
            if args.all {
                cold::address_all(&stage, &mut found).await?;
            }
        }
        if wanted(Phase::Recovery) {
            recovery::run(&stage, &rest, &mut found).await?;
        }
        if wanted(Phase::Crashed) {
            recovery::after_crash(&stage, &mut found).await?;
        }
        neighbour.leave(&mut found).await?;
        let all = Window {
            seconds: began.elapsed().as_secs_f64(),
            server: first.until(&run.source.snapshot().await?),
            series: Vec::new(),
        };
        let window = window.unwrap_or(all);
        let mut report = Report::new(run, args, window)?;
        found.tell(&mut report);
        Ok(report)
    }

    /// On one core it takes longer than a minute to wake all of them.
    fn prepare(&mut self, _: &mut Common, setup: &mut Setup) -> Result<()> {
        setup.set("GREENROOM_KINDS__ROOM__IDLE_TIMEOUT", "2m");
        Ok(())
    }
}

impl Stage {
    fn new(run: Run, args: Args) -> Result<Self> {
        run.entity(&args.kind, format_args!("stored-{}", u64::MAX))?;
        // `{"i":123456,"pad":""}` is what a body has besides the padding.
        let pad = "x".repeat(args.bytes.saturating_sub(21));
        Ok(Self { run, args, pad })
    }

    /// An entity of this run.
    fn entity(&self, name: &str, number: u64) -> EntityId {
        self.run
            .entity(&self.args.kind, format_args!("{name}-{number}"))
            .expect("a longer one was well-formed")
    }
}
