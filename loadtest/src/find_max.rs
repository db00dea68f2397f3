//! `find-max`: the highest rate at which 99 in a hundred deliveries, or acknowledgements, come
//! within a budget.

use std::collections::BTreeMap;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::Serialize;

use crate::client::Tokens;
use crate::common::{Codec, Common};
use crate::machine::{Machine, rfc3339};
use crate::raw::stage::Host;
use crate::raw::{Dialect, Shape, Stage, Trial};
use crate::report::sheet::{Chart, Row, Sheet};
use crate::report::{Figures, Report};
use crate::span::Span;

pub mod search;

use search::{Budget, Found, Search};

/// Each rate is tried for `--duration`, after `--warmup`. The rate doubles until it is too high;
/// then the range in between is halved.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Args {
    #[command(flatten)]
    #[serde(flatten)]
    pub common: Common,
    /// The load whose rate is searched
    #[arg(long, value_enum, default_value_t = Load::Fanout)]
    pub load: Load,
    /// The budget: 99 in a hundred come within it
    #[arg(long, default_value = "50ms")]
    pub p99: Span,
    /// The first rate, in messages a second over all rooms
    #[arg(long, default_value_t = 100.0)]
    pub from: f64,
    /// How close to come: 1.05 is 5 percent
    #[arg(long, default_value_t = 1.05)]
    pub precision: f64,
    /// Rooms, where there are several
    #[arg(long, default_value_t = 200)]
    pub rooms: usize,
    /// Subscribers of each of several rooms
    #[arg(long, default_value_t = 10)]
    pub members: usize,
    /// Subscribers of a single room
    #[arg(long, default_value_t = 1000)]
    pub subscribers: usize,
    /// Connections that send ops
    #[arg(long, default_value_t = 64)]
    pub senders: usize,
    /// Unanswered ops of each sender
    #[arg(long, default_value_t = 16)]
    pub in_flight: usize,
    /// Size of a message's body
    #[arg(long, default_value_t = 100)]
    pub bytes: usize,
}

/// What is driven to its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Load {
    /// Signals of one sender to `--subscribers` in one room: deliveries
    Fanout,
    /// The same with durable posts
    FanoutDurable,
    /// Signals in `--rooms` rooms of `--members`: deliveries
    Rooms,
    /// The same with durable posts
    RoomsDurable,
    /// Durable posts of `--senders`, each in a room of its own where nobody listens:
    /// acknowledgements
    Ops,
    /// Durable posts of `--senders` in one room with one subscriber: acknowledgements
    OpsHot,
}

impl Load {
    fn dialect(self) -> Dialect {
        match self {
            Self::Fanout | Self::Rooms => Dialect::Signals,
            Self::FanoutDurable | Self::RoomsDurable | Self::Ops | Self::OpsHot => Dialect::Posts,
        }
    }

    /// Whether acknowledgements are what counts.
    fn acks(self) -> bool {
        matches!(self, Self::Ops | Self::OpsHot)
    }

    fn shape(self, args: &Args) -> Shape {
        let (rooms, members, senders) = match self {
            Self::Fanout | Self::FanoutDurable => (1, args.subscribers, 1),
            Self::Rooms | Self::RoomsDurable => (args.rooms, args.members, args.rooms),
            Self::Ops => (args.senders, 0, args.senders),
            Self::OpsHot => (1, 1, args.senders),
        };
        Shape { rooms, members, senders, bytes: args.bytes, in_flight: args.in_flight, at_once: 64 }
    }
}

/// Runs it.
///
/// # Errors
/// Where the run could not be made.
pub async fn run(args: Args) -> Result<Report> {
    let common = &args.common;
    if common.codec != Codec::Json {
        bail!("`find-max` speaks JSON only");
    }
    let started = SystemTime::now();
    let host = host(common, args.load.dialect()).await?;
    let name = common.run.clone().unwrap_or_else(|| {
        format!("{:x}{:03x}", started.elapsed().map_or(0, |d| d.as_nanos()), fastrand::u16(..4096))
    });
    let budget = Budget { p99: args.p99.0, acks: args.load.acks() };
    let search = Search {
        start: args.from,
        precision: args.precision,
        warmup: common.warmup.0,
        window: common.duration.0,
        budget,
    };
    let mut stages = 0;
    let found = search
        .run(async || {
            stages += 1;
            Ok(Stage::set(&host, args.load.shape(&args), &format!("{name}-{stages}")).await?.0)
        })
        .await?;
    tell(&args, &found, started)
}

/// Where `--url` leads.
async fn host(common: &Common, dialect: Dialect) -> Result<Host> {
    let rest = common
        .url
        .strip_prefix("ws://")
        .with_context(|| format!("`{}` does not begin with `ws://`", common.url))?;
    let (place, path) = rest.split_once('/').unwrap_or((rest, "ws"));
    if path != "ws" {
        bail!("`{}` does not end in `/ws`", common.url);
    }
    let place = if place.rsplit(']').next().is_some_and(|end| end.contains(':')) {
        place.to_owned()
    } else {
        format!("{place}:80")
    };
    let address = tokio::net::lookup_host(&place)
        .await
        .with_context(|| format!("`{place}` is not known"))?
        .next();
    let tokens = match (&common.token, &common.secret) {
        (Some(token), _) => Tokens::Fixed(token.clone()),
        (None, Some(file)) => Tokens::from_secret(file)?,
        (None, None) => Tokens::Anonymous,
    };
    Ok(Host {
        address: address.with_context(|| format!("`{place}` has no address"))?,
        dialect,
        pid: common.pid,
        tokens,
    })
}

fn tell(args: &Args, found: &Found, started: SystemTime) -> Result<Report> {
    let acks = args.load.acks();
    let mut figures = Figures::default();
    let mut latencies = BTreeMap::new();
    figures.add("max_messages_per_s", found.best.as_ref().map_or(0.0, |best| best.rate));
    figures.add("trials", found.trials.len() as f64);
    if let Some(best) = &found.best {
        let per_s = |count: u64| count as f64 / best.window_s;
        let (count, rate, cost) = if acks {
            (best.answered, "max_acks_per_s", "server_cpu_us_per_ack")
        } else {
            (best.arrived, "max_deliveries_per_s", "server_cpu_us_per_delivery")
        };
        figures.add(rate, per_s(count));
        figures.add_known(
            cost,
            best.server_cpu_s.filter(|_| count > 0).map(|s| s * 1e6 / count as f64),
        );
        figures
            .add_known("server_cpu_percent", best.server_cpu_s.map(|s| s * 100.0 / best.window_s));
        figures.add("client_cpu_percent", best.client_cpu_s * 100.0 / best.window_s);
        let lanes = [("delivery", &best.delivery), ("ack", &best.ack)];
        latencies.extend(
            lanes
                .into_iter()
                .filter(|(_, s)| s.count > 0)
                .map(|(lane, s)| (lane.to_owned(), s.clone())),
        );
    }
    let mut errors = BTreeMap::new();
    if let Some(last) = found.trials.last().filter(|(trial, _)| trial.gone > 0) {
        errors.insert("connections_lost".to_owned(), last.0.gone as u64);
    }
    let trials: Vec<_> = found.trials.iter().map(|(trial, held)| row(trial, *held, acks)).collect();
    let columns = ["messages/s", "p50 ms", "p99 ms", "arrived %", "server CPU %", "client CPU %"]
        .map(str::to_owned)
        .to_vec();
    let mut violations = Vec::new();
    if found.best.is_none() {
        violations.push(format!("no rate held p99 < {}", args.p99));
    }
    Ok(Report {
        scenario: "find-max".into(),
        version: env!("CARGO_PKG_VERSION"),
        started_at: rfc3339(started),
        machine: Machine::this(),
        parameters: serde_json::to_value(args).context("the arguments do not serialize")?,
        window_s: args.common.duration.0.as_secs_f64(),
        figures,
        latencies,
        series: Vec::new(),
        server: None,
        sheets: vec![Sheet {
            title: "rates tried".into(),
            columns,
            rows: trials,
            chart: Chart::Lines,
        }],
        graphs: Vec::new(),
        errors,
        violations,
    })
}

fn row(trial: &Trial, held: bool, acks: bool) -> Row {
    let (summary, wanted) =
        if acks { (&trial.ack, trial.due) } else { (&trial.delivery, trial.expected) };
    let figures = vec![
        Some(trial.rate),
        Some(summary.p50_us as f64 / 1000.0),
        Some(summary.p99_us as f64 / 1000.0),
        Some(summary.count as f64 * 100.0 / wanted.max(1) as f64),
        trial.server_cpu_s.map(|s| s * 100.0 / trial.window_s),
        Some(trial.client_cpu_s * 100.0 / trial.window_s),
    ];
    Row { name: if held { "held" } else { "not held" }.into(), figures }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::fake::{Fake, Fault};

    async fn search(fault: Fault, options: &str) -> Report {
        let url = Fake::start(fault).await.url();
        let line = format!(
            "greenroom-loadtest find-max --url {url} --warmup 20ms --duration 100ms --senders 1 {options}"
        );
        match Cli::try_parse_from(line.split_whitespace()).expect("the line is a command").command {
            Command::FindMax(args) => Box::pin(run(args)).await.expect("it can be run"),
            command => panic!("{command:?} is another command"),
        }
    }

    /// What does not depend on how fast this machine is: the server loses the connection at the
    /// 400th op of a room. At 2,000 a second a trial is of 240 ops, and fails only where its room
    /// has had others before; at 4,000 it fails in a fresh room too.
    #[tokio::test]
    async fn the_limit_of_a_server_is_found() {
        let report =
            search(Fault::HangUp(400), "--load ops --from 500 --precision 2.1 --p99 1m").await;
        let tried: Vec<_> =
            report.sheets[0].rows.iter().map(|row| (row.name.as_str(), row.figures[0])).collect();
        let (held, not_held) = (|rate| ("held", Some(rate)), |rate| ("not held", Some(rate)));
        let want = [
            held(500.0),
            held(1000.0),
            not_held(2000.0),
            held(2000.0),
            not_held(4000.0),
            not_held(4000.0),
        ];
        assert_eq!(tried, want);
        assert_eq!(report.figures.get("max_messages_per_s"), Some(2000.0));
        assert!(
            report.latencies["ack"].count >= 195,
            "of the best trial: {:?}",
            report.latencies["ack"]
        );
        assert!(report.violations.is_empty(), "{:?}", report.violations);
    }

    #[tokio::test]
    async fn a_server_that_refuses_has_no_limit() {
        let report = search(Fault::RateLimit, "--load ops --from 30").await;
        assert_eq!(report.violations, ["no rate held p99 < 50ms"]);
    }
}
