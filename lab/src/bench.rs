//! `bench`: the load harness's scenarios, each on a server of its own, in one report.

use std::path::PathBuf;

use anyhow::Result;
use greenroom_loadtest::common::Common;
use greenroom_loadtest::replay::{self, verify};
use greenroom_loadtest::report::Report;
use greenroom_loadtest::scenario::{With, connect, defaults, durable, fanout, rooms};
use greenroom_loadtest::server::{Server, Setup};

use crate::preset::{self, Preset};

/// Each scenario has a server of its own, which `--server` names.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The arguments that every scenario takes.
    #[command(flatten)]
    pub common: Common,
    /// Only these scenarios, by name
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// IRC logs for `replay`, after which the server is killed, started again, and its history
    /// verified
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub irc: Vec<PathBuf>,
    /// How many times faster than it was the logs are replayed
    #[arg(long, default_value_t = 100.0)]
    pub speed: f64,
}

/// Runs the scenarios and delivers their reports; tells whether all promises were kept.
pub fn run(args: Args) -> Result<bool> {
    let mut presets = presets(&args.common);
    if !args.irc.is_empty() {
        let args = args.clone();
        presets.push(Preset::made_by("replay", move || replay_and_verify(args)));
    }
    preset::run(presets, &args.only, &args.common)
}

fn presets(common: &Common) -> Vec<Preset> {
    let fanout = fanout::Args { subscribers: 1000, ..defaults() };
    let rooms = rooms::Args { rooms: 100, members: 10, rate: 10.0, ..defaults() };
    let durable = durable::Args { rooms: 64, in_flight: 16, ..defaults() };
    let lone = durable::Args { rooms: 1, senders: 1, in_flight: 1, ..durable.clone() };
    vec![
        Preset::of("connect", common, connect::Args { connections: 10_000, ..defaults() }),
        Preset::of("fanout", common, fanout::Args { rate: 100.0, ..fanout.clone() }),
        Preset::of("fanout-durable", common, fanout::Args { rate: 50.0, durable: true, ..fanout }),
        Preset::of("rooms", common, rooms.clone()),
        Preset::of("rooms-durable", common, rooms::Args { durable: true, ..rooms }),
        Preset::of("durable", common, durable.clone()),
        Preset::of("durable-hot", common, durable::Args { hot: true, ..durable }),
        Preset::of("durable-lone", common, lone),
    ]
}

/// Replays logs, kills the server, and verifies on the next one what the first had acknowledged.
fn replay_and_verify(args: Args) -> Result<Vec<Report>> {
    let Args { common, irc: files, speed, .. } = args;
    let setup = Setup::new(&common.own)?;
    let server = Server::start(&setup)?;
    let kept = setup.dir().join("kept.jsonl");
    let replay = replay::Args { files, speed, keep: Some(kept.clone()), kind: "room".to_owned() };
    let replayed = With { common: common.clone(), scenario: replay }.perform_at(&server)?;
    server.kill()?;
    let server = Server::start(&setup)?;
    let verify = With { common, scenario: verify::Args { file: kept } };
    let mut verify = verify.perform_at(&server)?;
    verify.scenario = "verify-after-kill".to_owned();
    server.stop()?;
    Ok(vec![replayed, verify])
}
