//! `suite`: starts a server of its own for each scenario of a list, and puts all reports into one.
//!
//! Every scenario gets a fresh server on a fresh data directory, so that none pays for the one
//! before.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Parser;
use serde::Serialize;

use crate::cli::{Cli, Command, perform};
use crate::common::{Codec, Common, DURATION, WARMUP};
use crate::report::{self, Report};
use crate::server::{self, Server, ServerArgs, Setup};

/// The scenarios by name, and their arguments.
const PRESETS: &[(&str, &[&str])] = &[
    ("connect", &["connect", "--connections", "10000", "--rooms", "100"]),
    ("fanout", &["fanout", "--subscribers", "1000", "--rate", "100"]),
    ("fanout-durable", &["fanout", "--subscribers", "1000", "--rate", "50", "--durable"]),
    ("rooms", &["rooms", "--rooms", "100", "--members", "10", "--rate", "10"]),
    ("rooms-durable", &["rooms", "--rooms", "100", "--members", "10", "--rate", "10", "--durable"]),
    ("durable", &["durable", "--rooms", "64", "--in-flight", "16"]),
    ("durable-hot", &["durable", "--hot", "--senders", "64", "--in-flight", "16"]),
    ("durable-lone", &["durable", "--rooms", "1", "--senders", "1", "--in-flight", "1"]),
    ("durable-increment", &["durable", "--kind", "doc", "--op", "increment"]),
    ("churn", &["churn", "--rate", "200"]),
    ("presence", &["presence"]),
    ("presence-lost", &["presence", "--lost", "1"]),
    ("presence-crowd", &["presence", "--members", "10000", "--rate", "100"]),
    ("slow-reader", &["slow-reader"]),
    ("mixed", &["mixed"]),
];

/// Those that run only where they are named: they take minutes.
const NAMED: &[(&str, &[&str])] = &[
    // The window holds two pings of everybody: a sweep a second makes 25 to 26 s of each interval
    // of 25 s.
    (
        CONNECT_AUTH,
        &[
            "connect",
            "--connections",
            "19000",
            "--rooms",
            "100",
            "--at-once",
            "256",
            "--enter",
            "--idle",
            "51s",
        ],
    ),
    (
        "connect-burst",
        &["connect", "--connections", "5000", "--rooms", "100", "--burst", "1048576"],
    ),
    (ENTITIES, &["entities", "--run", ENTITIES, "--asleep-within", "4m"]),
    (GREEDY, &["greedy"]),
    ("entities-all", &["entities", "--phases", "cold", "--all"]),
    (SOAK, &["soak", "--data", DATA]),
    ("find-max-fanout", &["find-max", "--load", "fanout"]),
    ("find-max-fanout-durable", &["find-max", "--load", "fanout-durable"]),
    ("find-max-rooms", &["find-max", "--load", "rooms", "--from", "500"]),
    ("find-max-rooms-durable", &["find-max", "--load", "rooms-durable", "--from", "500"]),
    ("find-max-ops", &["find-max", "--load", "ops", "--from", "4000"]),
    ("find-max-ops-hot", &["find-max", "--load", "ops-hot", "--from", "4000"]),
];

/// The presets whose sessions present tokens, to a server that lets nobody in without one.
const CONNECT_AUTH: &str = "connect-auth";
const GREEDY: &str = "greedy";

/// What the servers of some presets need besides what all of them get. A process may have 20,000
/// open files in many places, of which a server keeps 400 for itself.
const ENVIRONMENT: &[(&str, &[(&str, &str)])] = &[
    (
        CONNECT_AUTH,
        &[("GREENROOM_SOCKET__MAX_CONNECTIONS", "19200"), ("GREENROOM_SOCKET__MAX_PENDING", "400")],
    ),
    (SOAK, RETENTION),
    // On one core it takes longer than a minute to wake all of them.
    (ENTITIES, &[("GREENROOM_KINDS__ROOM__IDLE_TIMEOUT", "2m")]),
];

/// Rooms keep little: the journal is trimmed all the time, and its tables are merged again and
/// again.
const RETENTION: &[(&str, &str)] = &[
    ("GREENROOM_KINDS__ROOM__RESUME_EVENTS", "200"),
    ("GREENROOM_KINDS__ROOM__KEEP_EVENTS", "200"),
    ("GREENROOM_KINDS__ROOM__SNAPSHOT_EVERY", "50"),
    ("GREENROOM_KINDS__ROOM__MESSAGES", "20"),
];

/// The preset that goes on for half an hour, on rooms that keep their history only for a while.
const SOAK: &str = "soak";

/// Stands for the directory of the server's store in a preset's arguments.
const DATA: &str = "{data}";

/// The name of the preset after which the server is killed, so that entities come back from what
/// was not in a snapshot yet.
const ENTITIES: &str = "entities";

/// The name of the preset that needs files.
const REPLAY: &str = "replay";

/// Of the common arguments, `--url`, `--metrics` and `--pid` do not count: the suite knows its
/// server.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Args {
    #[command(flatten)]
    #[serde(flatten)]
    pub common: Common,
    #[command(flatten)]
    #[serde(flatten)]
    pub server: ServerArgs,
    /// Cores of this harness
    #[arg(long, value_name = "LIST")]
    pub client_cpus: Option<String>,
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
/// Where a server does not start, or a scenario could not be run; what was measured before is
/// delivered all the same.
pub fn run(args: Args) -> Result<bool> {
    let names = choose(&args.only, !args.irc.is_empty())?;
    if let Some(cpus) = &args.client_cpus {
        server::pin_this_process(cpus)?;
    }
    let mut reports = Vec::new();
    let mut outcome = Ok(());
    for name in names {
        eprintln!("{name} ...");
        match scenario(&args, name) {
            Ok(more) => reports.extend(more),
            Err(error) => {
                outcome = Err(error.context(format!("the scenario `{name}` could not be run")));
                break;
            }
        }
    }
    report::deliver(&reports, &args.common)?;
    outcome?;
    Ok(reports.iter().all(|report| report.violations.is_empty()))
}

/// The presets to run, in order.
fn choose(only: &[String], with_replay: bool) -> Result<Vec<&'static str>> {
    let named = NAMED.iter().filter(|_| !only.is_empty());
    let all: Vec<_> = PRESETS
        .iter()
        .chain(named)
        .map(|(name, _)| *name)
        .chain(with_replay.then_some(REPLAY))
        .collect();
    if let Some(unknown) = only.iter().find(|name| !all.contains(&name.as_str())) {
        bail!(
            "there is no scenario `{unknown}`; there are {} (and `replay` with `--irc`)",
            all.join(", ")
        );
    }
    Ok(all.into_iter().filter(|name| only.is_empty() || only.iter().any(|o| o == name)).collect())
}

/// The server that a scenario wants. With tokens, `common` gets the secret that they are signed
/// with.
fn prepare(server: &ServerArgs, name: &str, common: &mut Common) -> Result<Setup> {
    let mut setup = Setup::new(server)?;
    for (name, value) in ENVIRONMENT
        .iter()
        .filter(|(preset, _)| *preset == name)
        .flat_map(|(_, environment)| *environment)
    {
        setup.set(name, value);
    }
    if name == GREEDY {
        setup.let_limits_count();
    }
    // Whoever brings a configuration, or tokens, knows what the server's secret is.
    if [CONNECT_AUTH, GREEDY].contains(&name)
        && server.server_config.is_none()
        && common.secret.is_none()
        && common.token.is_none()
    {
        common.secret = Some(setup.demand_tokens()?);
    }
    Ok(setup)
}

fn scenario(args: &Args, name: &'static str) -> Result<Vec<Report>> {
    let args = &mut args.clone();
    let setup = prepare(&args.server, name, &mut args.common)?;
    let server = Server::start(&setup)?;
    if name != REPLAY {
        let preset = PRESETS
            .iter()
            .chain(NAMED)
            .find(|(preset, _)| *preset == name)
            .context("the name was chosen from the presets")?
            .1;
        let data = setup.data();
        let words = preset.iter().map(|word| word.replace(DATA, &data.to_string_lossy())).collect();
        let report = one(args, name, words, &server)?;
        if name == ENTITIES {
            server.kill()?;
            let server = Server::start(&setup)?;
            let words =
                ["entities", "--run", ENTITIES, "--phases", "crashed"].map(str::to_owned).to_vec();
            let crashed = one(args, "entities-after-kill", words, &server)?;
            server.stop()?;
            return Ok(vec![report, crashed]);
        }
        server.stop()?;
        return Ok(vec![report]);
    }
    let kept = setup.dir().join("kept.jsonl").to_string_lossy().into_owned();
    let files = args.irc.iter().map(|file| file.to_string_lossy().into_owned());
    let words = [
        "replay".to_owned(),
        "--speed".into(),
        args.speed.to_string(),
        "--keep".into(),
        kept.clone(),
    ];
    let replay = one(args, name, words.into_iter().chain(files).collect(), &server)?;
    server.kill()?;
    let server = Server::start(&setup)?;
    let verify = one(args, "verify-after-kill", vec!["verify".into(), kept], &server)?;
    server.stop()?;
    Ok(vec![replay, verify])
}

/// Runs one scenario as if its arguments had been typed.
fn one(args: &Args, name: &str, words: Vec<String>, server: &Server) -> Result<Report> {
    let common = &args.common;
    let mut line = vec!["greenroom-loadtest".to_owned()];
    line.extend(words);
    let codec = if common.codec == Codec::Json { "json" } else { "msgpack" };
    let options = [
        ("--url", server.url()),
        ("--metrics", server.metrics()),
        ("--pid", server.pid().to_string()),
        ("--threads", common.threads.to_string()),
        ("--codec", codec.to_owned()),
    ];
    // A scenario's own defaults count, unless the suite was told otherwise.
    let times = [
        ("--duration", common.duration.to_string(), DURATION),
        ("--warmup", common.warmup.to_string(), WARMUP),
    ];
    let told = times
        .into_iter()
        .filter(|(_, value, default)| value != default)
        .map(|(option, value, _)| (option, value));
    line.extend(
        options.into_iter().chain(told).flat_map(|(option, value)| [option.to_owned(), value]),
    );
    if common.no_progress {
        line.push("--no-progress".into());
    }
    let mut command = Cli::try_parse_from(&line)
        .with_context(|| format!("`{}` is not understood", line.join(" ")))?
        .command;
    identify(&mut command, common);
    let mut report = perform(command)?;
    report.scenario = name.to_owned();
    Ok(report)
}

/// Secrets are not passed as text.
fn identify(command: &mut Command, from: &Common) {
    let common = match command {
        Command::Connect(args) => &mut args.common,
        Command::Fanout(args) => &mut args.common,
        Command::Rooms(args) => &mut args.common,
        Command::Durable(args) => &mut args.common,
        Command::Entities(args) => &mut args.common,
        Command::Churn(args) => &mut args.common,
        Command::SlowReader(args) => &mut args.common,
        Command::Replay(args) => &mut args.common,
        Command::Verify(args) => &mut args.common,
        Command::Drill(args) => &mut args.common,
        Command::Presence(args) => &mut args.common,
        Command::Greedy(args) => &mut args.common,
        Command::Mixed(args) => &mut args.common,
        Command::Soak(args) => &mut args.common,
        Command::FindMax(args) => &mut args.common,
        Command::Compare(args) => &mut args.common,
        Command::Suite(args) => &mut args.common,
        Command::Check(_) | Command::Growth(_) => return,
    };
    common.token.clone_from(&from.token);
    common.secret.clone_from(&from.secret);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_command_lines() {
        for (name, words) in PRESETS.iter().chain(NAMED) {
            let line = std::iter::once("greenroom-loadtest").chain(words.iter().copied());
            assert!(Cli::try_parse_from(line).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_long_scenario_has_its_own_times() {
        let parse = |line: &str| {
            Cli::try_parse_from(line.split(' ')).expect("the line is a command").command
        };
        let times = |command: &Command| {
            crate::cli::common(command)
                .map(|common| [common.duration, common.warmup].map(|span| span.to_string()))
        };
        assert_eq!(times(&parse("greenroom-loadtest soak")), Some(["1800s".into(), "120s".into()]));
        assert_eq!(
            times(&parse("greenroom-loadtest soak --duration 90s")),
            Some(["90s".into(), "120s".into()])
        );
        assert_eq!(
            times(&parse("greenroom-loadtest rooms")),
            Some([DURATION.into(), WARMUP.into()]),
            "and what is left out is shown so"
        );
    }

    #[test]
    fn a_server_that_demands_tokens_comes_with_a_secret() {
        let table = [
            ("", CONNECT_AUTH, true),
            ("", GREEDY, true),
            ("", "connect", false),
            ("--secret own", CONNECT_AUTH, false),
            ("--token own", CONNECT_AUTH, false),
        ];
        for (options, name, demands) in table {
            let line = format!("greenroom-loadtest suite --server x {options}");
            let Command::Suite(mut args) = Cli::try_parse_from(line.split_whitespace())
                .expect("the line is a command")
                .command
            else {
                panic!("`{line}` is another command");
            };
            let given = args.common.secret.clone();
            let setup = prepare(&args.server, name, &mut args.common)
                .expect("there is room for a directory");
            let made = args.common.secret.filter(|secret| Some(secret) != given.as_ref());
            assert_eq!(made.is_some(), demands, "{name} {options}");
            assert!(
                made.is_none_or(|secret| std::fs::read(secret).expect("it is there").len() == 64),
                "{name} {options}"
            );
            drop(setup);
        }
        assert!(
            ENVIRONMENT.iter().all(|(name, _)| NAMED.iter().any(|(preset, _)| preset == name)),
            "each is a preset's"
        );
    }

    #[test]
    fn choosing() {
        assert_eq!(
            choose(&["rooms".into(), "connect".into()], false).expect("both exist"),
            ["connect", "rooms"]
        );
        assert_eq!(choose(&[], true).expect("nothing is unknown").last(), Some(&REPLAY));
        assert!(
            choose(&[], true).expect("the same").iter().all(|name| !name.starts_with("find-max")),
            "these are named"
        );
        assert_eq!(choose(&["find-max-ops".into()], false).expect("it exists"), ["find-max-ops"]);
        assert!(choose(&["replay".into()], false).is_err(), "replay needs files");
        assert!(choose(&["nothing".into()], true).is_err());
    }
}
