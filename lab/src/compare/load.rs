//! What everybody is put through.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use serde::Serialize;
use tokio::time::sleep;

use super::Args;
use super::contender::{Contender, Running};
use crate::raw::{Shape, Stage, Trial};
use greenroom_loadtest::find_max::search::{self, Search};

/// After the last connection came in, so long until memory is read.
const SETTLES: Duration = Duration::from_secs(3);

/// The loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Load {
    /// One room with many subscribers, few messages
    Fanout,
    /// Many small rooms
    Rooms,
    /// The most deliveries a second to one room's subscribers within a latency budget
    Limit,
    /// Many connections that come in at once, and then idle
    Crowd,
}

/// Figures by their names, each with its unit.
pub type Figures = BTreeMap<&'static str, f64>;

impl Load {
    /// Its figures in the order of a table, as columns are headed.
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Fanout | Self::Rooms => &[
                "server CPU µs/delivery",
                "p50 ms",
                "p99 ms",
                "deliveries/s",
                "delivered %",
                "server CPU %",
                "client CPU %",
            ],
            Self::Limit => &[
                "deliveries/s",
                "p50 ms",
                "p99 ms",
                "server CPU µs/delivery",
                "server CPU %",
                "client CPU %",
            ],
            Self::Crowd => &[
                "KiB/connection",
                "connections/s",
                "server CPU µs/connection",
                "idle CPU µs/s/connection",
                "server CPU %",
                "client CPU %",
            ],
        }
    }

    /// What it is, in words and numbers.
    pub fn title(self, args: &Args) -> String {
        match self {
            Self::Fanout => {
                format!("{} subscribers × {} msg/s", args.subscribers, args.fanout_rate)
            }
            Self::Rooms => {
                format!("{} rooms × {} × {} msg/s", args.rooms, args.members, args.rooms_rate)
            }
            Self::Limit => format!("most to {} subscribers, p99 < {}", args.subscribers, args.p99),
            Self::Crowd => format!("{} idle connections", args.connections),
        }
    }

    /// The shape of its stage.
    fn shape(self, args: &Args) -> Shape {
        let (rooms, members, senders) = match self {
            Self::Fanout | Self::Limit => (1, args.subscribers, 1),
            Self::Rooms => (args.rooms, args.members, args.rooms),
            Self::Crowd => (100.min(args.connections), args.connections.div_ceil(100), 0),
        };
        let at_once = if self == Self::Crowd { args.at_once } else { 64 };
        Shape { rooms, members, senders, bytes: args.bytes, in_flight: args.in_flight, at_once }
    }

    /// Puts a fresh server through it.
    pub async fn run(self, args: &Args, contender: &Contender) -> Result<Figures> {
        let running = contender.start(&args.programs, &args.common.own)?;
        let figures = match self {
            Self::Fanout => steady(self, args, &running, args.fanout_rate).await,
            Self::Rooms => steady(self, args, &running, args.rooms_rate * args.rooms as f64).await,
            Self::Limit => return limit(self, args, contender, running).await,
            Self::Crowd => crowd(self, args, &running).await,
        }?;
        running.stop()?;
        Ok(figures)
    }
}

async fn steady(load: Load, args: &Args, running: &Running, rate: f64) -> Result<Figures> {
    let (mut stage, _) = Stage::set(&running.host, load.shape(args), "steady").await?;
    let trial = stage.trial(rate, args.common.warmup.0, args.common.duration.0).await?;
    stage.clear().await;
    healthy(&trial)?;
    Ok(told(trial))
}

/// The figures of one rate.
fn told(trial: Trial) -> Figures {
    limit_of(trial.deliveries())
}

/// The same of a rate that was searched.
fn limit_of(trial: search::Trial) -> Figures {
    let mut figures = Figures::from([
        ("deliveries/s", trial.arrived as f64 / trial.window_s),
        ("delivered %", trial.latency.count as f64 * 100.0 / trial.wanted.max(1) as f64),
        ("p50 ms", trial.latency.p50_us as f64 / 1000.0),
        ("p99 ms", trial.latency.p99_us as f64 / 1000.0),
        ("client CPU %", trial.client_percent()),
    ]);
    if let Some(cpu) = trial.server_cpu_s {
        figures.insert("server CPU %", cpu * 100.0 / trial.window_s);
        figures.insert("server CPU µs/delivery", cpu * 1e6 / trial.arrived.max(1) as f64);
    }
    figures
}

fn healthy(trial: &Trial) -> Result<()> {
    let complaint = trial.complaints.keys().next();
    anyhow::ensure!(
        trial.gone == 0 && complaint.is_none(),
        "{} connections were lost; complaints: {:?}",
        trial.gone,
        trial.complaints
    );
    Ok(())
}

async fn limit(load: Load, args: &Args, contender: &Contender, first: Running) -> Result<Figures> {
    let search = Search {
        start: args.fanout_rate,
        precision: args.precision,
        warmup: args.common.warmup.0,
        window: args.trial.0,
        p99: args.p99.0,
    };
    let (mut running, mut stages) = (Some(first), 0);
    let stage = async || {
        // A stage that lost connections is not used again, nor is the server that lost them.
        if let Some(server) = running.take_if(|_| stages > 0) {
            server.stop()?;
        }
        stages += 1;
        let server = match running.take() {
            Some(server) => server,
            None => contender.start(&args.programs, &args.common.own)?,
        };
        let host = &running.insert(server).host;
        Ok(Stage::set(host, load.shape(args), &format!("limit{stages}")).await?.0)
    };
    let found = search.run(stage).await?;
    if let Some(server) = running {
        server.stop()?;
    }
    Ok(found.best.map(limit_of).unwrap_or_default())
}

async fn crowd(load: Load, args: &Args, running: &Running) -> Result<Figures> {
    let shape = load.shape(args);
    // One connection before the others, so that what is made once is not counted.
    let alone = Shape { rooms: 1, members: 1, ..shape };
    let (first, _) = Stage::set(&running.host, alone, "alone").await?;
    let before = first.server_rss().await?;
    let (stage, arrival) = Stage::set(&running.host, shape, "crowd").await?;
    let connections = (shape.rooms * shape.members) as f64;
    sleep(SETTLES).await;
    let after = stage.server_rss().await?;
    let idle = stage.idle(args.common.duration.0).await?;
    stage.clear().await;
    first.clear().await;
    let mut figures = Figures::from([
        ("connections/s", connections / arrival.seconds),
        ("client CPU %", arrival.client_cpu_s * 100.0 / arrival.seconds),
    ]);
    if let (Some(before), Some(after)) = (before, after) {
        figures.insert("KiB/connection", (after - before) / 1024.0 / connections);
    }
    if let Some(cpu) = arrival.server_cpu_s {
        figures.insert("server CPU %", cpu * 100.0 / arrival.seconds);
        figures.insert("server CPU µs/connection", cpu * 1e6 / connections);
    }
    if let Some(cpu) = idle {
        figures.insert(
            "idle CPU µs/s/connection",
            cpu * 1e6 / args.common.duration.0.as_secs_f64() / connections,
        );
    }
    Ok(figures)
}
