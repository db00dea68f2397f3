//! `compare`: the same load on Greenroom and on other servers, one after the other, in one run.
//!
//! Each round puts every contender through every load, each time on a fresh server; of the rounds,
//! medians are told. The machine may drift, but it drifts for everybody.

use std::collections::BTreeMap;
use std::time::SystemTime;

use anyhow::{Context, Result};
use serde::Serialize;

use greenroom_loadtest::common::Common;
use greenroom_loadtest::common::Span;
use greenroom_loadtest::machine::Machine;
use greenroom_loadtest::report::Report;
use greenroom_loadtest::report::sheet::{Row, Sheet};
use greenroom_loadtest::server;

mod contender;
mod load;

use contender::{Contender, Programs};
use load::{Figures, Load};

/// Of the common arguments, those that name a server or an identity do not count: each contender is
/// started here, and lets anybody in.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Args {
    /// The arguments that every scenario takes.
    #[command(flatten)]
    #[serde(flatten)]
    pub common: Common,
    /// Where the peers' programs are.
    #[command(flatten)]
    #[serde(flatten)]
    pub programs: Programs,
    /// Only these contenders, by name
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// Only these loads
    #[arg(long, value_delimiter = ',', value_enum)]
    pub loads: Vec<Load>,
    /// How often everything is measured; medians are told
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// Subscribers of `fanout` and `limit`
    #[arg(long, default_value_t = 1000)]
    pub subscribers: usize,
    /// Messages a second of `fanout`; `limit` begins with it
    #[arg(long, default_value_t = 30.0)]
    pub fanout_rate: f64,
    /// Rooms of `rooms`
    #[arg(long, default_value_t = 200)]
    pub rooms: usize,
    /// Subscribers of each
    #[arg(long, default_value_t = 10)]
    pub members: usize,
    /// Messages a second in each
    #[arg(long, default_value_t = 5.0)]
    pub rooms_rate: f64,
    /// The budget of `limit`: 99 in a hundred deliveries come within it
    #[arg(long, default_value = "100ms")]
    pub p99: Span,
    /// How long each rate of `limit` is tried
    #[arg(long, default_value = "2s")]
    pub trial: Span,
    /// How close `limit` comes: 1.1 is 10 percent
    #[arg(long, default_value_t = 1.1)]
    pub precision: f64,
    /// Connections of `crowd`
    #[arg(long, default_value_t = 10_000)]
    pub connections: usize,
    /// How many of them come in at the same time
    #[arg(long, default_value_t = 256)]
    pub at_once: usize,
    /// Size of a message's body
    #[arg(long, default_value_t = 100)]
    pub bytes: usize,
    /// Unanswered posts of each sender
    #[arg(long, default_value_t = 64)]
    pub in_flight: usize,
}

/// Everything that was measured: by load and contender, one entry a round.
type Rounds = BTreeMap<(usize, usize), Vec<Figures>>;

/// Compares, and tells.
pub async fn run(args: Args) -> Result<Vec<Report>> {
    let contenders = contender::choose(&args.only)?;
    let all = [Load::Fanout, Load::Rooms, Load::Limit, Load::Crowd];
    let loads: Vec<_> =
        all.into_iter().filter(|load| args.loads.is_empty() || args.loads.contains(load)).collect();
    // Asked before this process is pinned, and sees a part of it.
    let machine = Machine::this();
    if let Some(cpus) = &args.common.client_cpus {
        server::pin_this_process(cpus)?;
    }
    let started = SystemTime::now();
    let mut rounds = Rounds::new();
    for round in 1..=args.rounds.max(1) {
        for (l, load) in loads.iter().enumerate() {
            for (c, contender) in contenders.iter().enumerate() {
                eprintln!("round {round}: {} · {}", load.title(&args), contender.name);
                let figures = load.run(&args, contender).await;
                rounds
                    .entry((l, c))
                    .or_default()
                    .push(figures.with_context(|| format!("`{}` failed", contender.name))?);
            }
        }
    }
    loads
        .iter()
        .enumerate()
        .map(|(l, load)| {
            tell(&args, *load, &contenders, |c| rounds.get(&(l, c)), (started, &machine))
        })
        .collect()
}

/// The report of one load.
fn tell<'a>(
    args: &Args,
    load: Load,
    contenders: &[Contender],
    rounds: impl Fn(usize) -> Option<&'a Vec<Figures>>,
    (started, machine): (SystemTime, &Machine),
) -> Result<Report> {
    let columns = load.columns();
    let sheet = |name: &dyn Fn(&Contender) -> String,
                 figure: &dyn Fn(usize, &str) -> Option<f64>| {
        let row = |(c, contender): (usize, &Contender)| Row {
            name: name(contender),
            figures: columns.iter().map(|column| figure(c, column)).collect(),
        };
        contenders.iter().enumerate().map(row).collect::<Vec<_>>()
    };
    let of = |c, column: &str| -> Vec<f64> {
        rounds(c).into_iter().flatten().filter_map(|round| round.get(column).copied()).collect()
    };
    let medians = Sheet {
        title: load.title(args),
        columns: columns.iter().map(|column| (*column).to_owned()).collect(),
        rows: sheet(&|contender| contender.name.to_owned(), &|c, column| median(of(c, column))),
    };
    // How far the rounds are apart tells how much a difference means.
    let spread = Sheet {
        title: format!("{}: highest round over lowest", medians.title),
        columns: medians.columns.clone(),
        rows: sheet(&|contender| contender.name.to_owned(), &|c, column| spread(&of(c, column))),
    };
    let name = serde_json::to_value(load)?;
    let name = format!("compare {}", name.as_str().unwrap_or_default());
    let mut report = Report::empty(&name, started, args)?;
    report.machine = machine.clone();
    report.window_s = args.common.duration.0.as_secs_f64();
    report.sheets.push(medians);
    if args.rounds > 1 {
        report.sheets.push(spread);
    }
    Ok(report)
}

/// The middle one; of two in the middle the lower, so that it is one that was measured.
pub fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len().checked_sub(1)? / 2).copied()
}

/// The highest over the lowest.
pub fn spread(figures: &[f64]) -> Option<f64> {
    let low = figures.iter().copied().reduce(f64::min)?;
    let high = figures.iter().copied().reduce(f64::max)?;
    (low > 0.0).then(|| high / low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_measured_values() {
        for (figures, want) in [
            (vec![], None),
            (vec![3.0], Some(3.0)),
            (vec![9.0, 1.0], Some(1.0)),
            (vec![5.0, 9.0, 1.0], Some(5.0)),
        ] {
            assert_eq!(median(figures), want);
        }
    }

    #[test]
    fn spreads() {
        assert_eq!(spread(&[2.0, 5.0, 4.0]), Some(2.5));
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[0.0, 1.0]), None, "nothing is so many times nothing");
    }
}
