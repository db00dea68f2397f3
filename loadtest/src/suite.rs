//! `suite`: starts a server of its own for each scenario of a list, and puts all reports into one.
//!
//! Every scenario gets a fresh server on a fresh data directory, so that none pays for the one
//! before.

use std::path::PathBuf;

use anyhow::{Result, bail};
use serde::Serialize;

use crate::common::Common;
use crate::report::{self, Report};
use crate::scenario::{self, Scenario, connect, defaults, durable, fanout, rooms};
use crate::server::{Server, Setup};
use crate::{replay, server};

/// A scenario of a suite: its name, and how it is run.
pub struct Preset {
    name: &'static str,
    /// Whether it runs only where it is named: some take minutes.
    named: bool,
    run: Box<dyn FnOnce() -> Result<Vec<Report>>>,
}

impl Preset {
    /// A scenario with these arguments.
    pub fn of(name: &'static str, scenario: impl Scenario + 'static) -> Self {
        Self::made_by(name, move || Ok(vec![scenario::perform(Box::new(scenario))?]))
    }

    /// One that is more than a single scenario.
    pub fn made_by(
        name: &'static str,
        run: impl FnOnce() -> Result<Vec<Report>> + 'static,
    ) -> Self {
        Self { name, named: false, run: Box::new(run) }
    }

    /// The same, but only where it is named.
    pub fn when_named(self) -> Self {
        Self { named: true, ..self }
    }
}

/// Each scenario has a server of its own, which `--server` names.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Args {
    /// The arguments that every scenario takes.
    #[command(flatten)]
    #[serde(flatten)]
    pub common: Common,
    /// Only these scenarios, by name
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// IRC logs for `replay`, after which the server is killed, started again, and its history
    /// verified
    #[arg(long, value_name = "FILE", num_args = 1..)]
    #[serde(skip)]
    pub irc: Vec<PathBuf>,
    /// How many times faster than it was the logs are replayed
    #[arg(long, default_value_t = 100.0)]
    pub speed: f64,
}

/// Runs the suite and delivers its reports; tells whether all promises were kept.
///
/// # Errors
/// As those of [`run_presets`].
pub fn run(args: Args) -> Result<bool> {
    let mut presets = presets(&args.common);
    if !args.irc.is_empty() {
        let args = args.clone();
        presets.push(Preset::made_by("replay", move || replay_and_verify(args)));
    }
    run_presets(presets, &args.only, &args.common)
}

/// The scenarios of the suite.
fn presets(common: &Common) -> Vec<Preset> {
    let fanout = fanout::Args { subscribers: 1000, ..defaults(common) };
    let rooms = rooms::Args { rooms: 100, members: 10, rate: 10.0, ..defaults(common) };
    let durable = durable::Args { rooms: 64, in_flight: 16, ..defaults(common) };
    vec![
        Preset::of("connect", connect::Args { connections: 10_000, ..defaults(common) }),
        Preset::of("fanout", fanout::Args { rate: 100.0, ..fanout.clone() }),
        Preset::of("fanout-durable", fanout::Args { rate: 50.0, durable: true, ..fanout }),
        Preset::of("rooms", rooms.clone()),
        Preset::of("rooms-durable", rooms::Args { durable: true, ..rooms }),
        Preset::of("durable", durable.clone()),
        Preset::of("durable-hot", durable::Args { hot: true, ..durable.clone() }),
        Preset::of("durable-lone", durable::Args { rooms: 1, senders: 1, in_flight: 1, ..durable }),
    ]
}

/// Runs presets and delivers their reports; tells whether all promises were kept.
///
/// # Errors
/// Where a server does not start, or a scenario could not be run; what was measured before is
/// delivered all the same.
pub fn run_presets(presets: Vec<Preset>, only: &[String], common: &Common) -> Result<bool> {
    let presets = choose(presets, only)?;
    if let Some(cpus) = &common.client_cpus {
        server::pin_this_process(cpus)?;
    }
    let (mut reports, mut outcome) = (Vec::new(), Ok(()));
    for Preset { name, run, .. } in presets {
        eprintln!("{name} ...");
        match run() {
            Ok(mut more) => {
                more.first_mut().into_iter().for_each(|report| report.scenario = name.to_owned());
                reports.append(&mut more);
            }
            Err(error) => {
                outcome = Err(error.context(format!("the scenario `{name}` could not be run")));
                break;
            }
        }
    }
    report::deliver(&reports, &common.output)?;
    outcome?;
    Ok(reports.iter().all(|report| report.violations.is_empty()))
}

/// The presets to run, in order.
fn choose(mut presets: Vec<Preset>, only: &[String]) -> Result<Vec<Preset>> {
    if let Some(unknown) = only.iter().find(|name| presets.iter().all(|p| p.name != **name)) {
        let names: Vec<_> = presets.iter().map(|preset| preset.name).collect();
        bail!(
            "there is no scenario `{unknown}`; there are {} (and `replay` with `--irc`)",
            names.join(", ")
        );
    }
    presets.retain(|preset| match only {
        [] => !preset.named,
        only => only.iter().any(|name| name == preset.name),
    });
    Ok(presets)
}

/// Replays logs, kills the server, and verifies on the next one what the first had acknowledged.
fn replay_and_verify(args: Args) -> Result<Vec<Report>> {
    let Args { common, irc: files, speed, .. } = args;
    let setup = Setup::new(&common.own)?;
    let (server, kept) = (Server::start(&setup)?, setup.dir().join("kept.jsonl"));
    let replay = replay::Args {
        common: common.clone(),
        files,
        speed,
        keep: Some(kept.clone()),
        kind: "room".to_owned(),
    };
    let replay = scenario::perform_at(Box::new(replay), &server)?;
    server.kill()?;
    let server = Server::start(&setup)?;
    let verify = replay::verify::Args { common, file: kept };
    let mut verify = scenario::perform_at(Box::new(verify), &server)?;
    verify.scenario = "verify-after-kill".to_owned();
    server.stop()?;
    Ok(vec![replay, verify])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choosing() {
        let chosen = |only: &[&str]| {
            let args: Args = scenario::parse("").expect("every argument has a default");
            let mut all = presets(&args.common);
            all.push(Preset::made_by("long", || Ok(Vec::new())).when_named());
            let only: Vec<_> = only.iter().map(|name| (*name).to_owned()).collect();
            choose(all, &only).map(|chosen| chosen.iter().map(|p| p.name).collect::<Vec<_>>())
        };
        assert_eq!(chosen(&["rooms", "connect"]).expect("both exist"), ["connect", "rooms"]);
        let all = chosen(&[]).expect("nothing is unknown");
        assert_eq!((all.len(), all.last()), (8, Some(&"durable-lone")), "but for what is named");
        assert_eq!(chosen(&["long"]).expect("it exists"), ["long"]);
        assert!(chosen(&["replay"]).is_err(), "replay needs files");
    }
}
