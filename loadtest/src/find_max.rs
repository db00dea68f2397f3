//! `find-max`: the highest rate at which 99 in a hundred deliveries, or acknowledgements, come
//! within a budget.

use anyhow::Result;
use clap::ValueEnum;
use serde::Serialize;

use crate::common::Span;
use crate::peer::payload::What;
use crate::report::Report;
use crate::report::sheet::{Row, Sheet};
use crate::run::{Run, Window};
use crate::scenario::Scenario;

pub mod search;
mod stage;

use search::{Found, Search, Trial};
use stage::{Shape, Stage};

/// Each rate is tried for `--duration`, after `--warmup`. The rate doubles until it is too high;
/// then the range in between is halved.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Args {
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
        let what = match self {
            Self::Fanout | Self::Rooms => What::Signal,
            _ => What::Post,
        };
        let Args { bytes, in_flight, .. } = *args;
        Shape { rooms, members, senders, what, bytes, in_flight, acks: self.acks() }
    }
}

impl Scenario for Args {
    const NAME: &'static str = "find-max";

    async fn run(self, run: Run) -> Result<Report> {
        // Each stage has a run and a line of its own.
        run.progress.done();
        let search = Search {
            start: self.from,
            precision: self.precision,
            warmup: run.common.warmup.0,
            window: run.common.duration.0,
            p99: self.p99.0,
        };
        let (shape, mut stages) = (self.load.shape(&self), 0);
        let found = search.run(async || {
            stages += 1;
            Stage::set(&run.common, shape, stages).await
        });
        tell(&self, &found.await?, &run)
    }
}

fn tell(args: &Args, found: &Found, run: &Run) -> Result<Report> {
    let window = Window { seconds: run.common.duration.0.as_secs_f64(), ..Window::default() };
    let mut report = Report::new(run, args, window)?;
    let figures = &mut report.figures;
    figures.add("max_messages_per_s", found.best.as_ref().map_or(0.0, |best| best.rate));
    figures.add("trials", found.trials.len() as f64);
    match &found.best {
        Some(best) => {
            let (lane, rate, cost) = if args.load.acks() {
                ("ack", "max_acks_per_s", "server_cpu_us_per_ack")
            } else {
                ("delivery", "max_deliveries_per_s", "server_cpu_us_per_delivery")
            };
            figures.add(rate, best.arrived as f64 / best.window_s);
            figures.add_known(cost, best.server_cpu_s.map(|s| s * 1e6 / best.arrived as f64));
            figures.add_known("server_cpu_percent", best.server_percent());
            figures.add("client_cpu_percent", best.client_percent());
            report.latencies.insert(lane.to_owned(), best.latency.clone());
        }
        None => report.violations.push(format!("no rate held p99 < {}", args.p99)),
    }
    if let Some((last, _)) = found.trials.last() {
        report.errors.clone_from(&last.errors);
    }
    let columns = ["messages/s", "p50 ms", "p99 ms", "arrived %", "server CPU %", "client CPU %"];
    let sheet = Sheet {
        title: "rates tried".into(),
        columns: columns.map(str::to_owned).to_vec(),
        rows: found.trials.iter().map(|(trial, held)| row(trial, *held)).collect(),
    };
    report.graphs.push(sheet.plot());
    report.sheets.push(sheet);
    Ok(report)
}

fn row(trial: &Trial, held: bool) -> Row {
    let figures = vec![
        Some(trial.rate),
        Some(trial.latency.p50_us as f64 / 1000.0),
        Some(trial.latency.p99_us as f64 / 1000.0),
        Some(trial.latency.count as f64 * 100.0 / trial.wanted.max(1) as f64),
        trial.server_percent(),
        Some(trial.client_percent()),
    ];
    Row { name: if held { "held" } else { "not held" }.into(), figures }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Fake, Fault};

    async fn search(fault: Fault, options: &str) -> Report {
        let words = format!("--warmup 20ms --duration 100ms --senders 1 {options}");
        Fake::start(fault).await.run::<Args>(&words).await
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
        assert!(report.latencies["ack"].count >= 195, "of the best: {:?}", report.latencies["ack"]);
        assert!(report.violations.is_empty(), "{:?}", report.violations);
    }

    #[tokio::test]
    async fn deliveries_are_expected_at_every_subscriber() {
        for load in ["fanout", "rooms", "fanout-durable", "rooms-durable"] {
            let options = format!(
                "--load {load} --from 100 --precision 1000 --p99 1m --rooms 3 --members 4 --subscribers 7"
            );
            let report = search(Fault::None, &options).await;
            assert!(report.violations.is_empty() && report.errors.is_empty(), "{load}: {report:?}");
            assert_eq!(report.sheets[0].rows[0].figures[3], Some(100.0), "{load}");
        }
    }

    #[tokio::test]
    async fn a_server_that_refuses_has_no_limit() {
        let report = search(Fault::RateLimit, "--load ops --from 30").await;
        assert_eq!(report.violations, ["no rate held p99 < 50ms"]);
    }
}
