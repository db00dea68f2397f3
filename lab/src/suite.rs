//! `suite`: the lab's scenarios, each on a server of its own.

use anyhow::Result;
use clap::ValueEnum;
use greenroom_loadtest::common::{Common, Span};
use greenroom_loadtest::find_max::{self, Load};
use greenroom_loadtest::report::Report;
use greenroom_loadtest::scenario::{Scenario, With, defaults, durable, parse};
use greenroom_loadtest::server::{Server, Setup};

use crate::preset::{self, Preset};
use crate::scenario::{burst, churn, entities, greedy, mixed, presence, slow_reader, soak};

/// Each scenario has a server of its own, which `--server` names.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The arguments that every scenario takes.
    #[command(flatten)]
    pub common: Common,
    /// Only these scenarios, by name
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
}

/// Runs the suite and delivers its reports; tells whether all promises were kept.
pub fn run(args: &Args) -> Result<bool> {
    let mut presets = presets(&args.common);
    presets.extend(searches(&args.common));
    preset::run(presets, &args.only, &args.common)
}

fn presets(common: &Common) -> Vec<Preset> {
    let span = |text: &str| text.parse::<Span>().expect("it is written here as a duration");
    let durable = durable::Args { kind: "doc".into(), op: durable::Op::Increment, ..defaults() };
    let presence: presence::Args = defaults();
    let auth = burst::Args {
        connections: 19_000,
        at_once: 256,
        tokens: true,
        enter: true,
        burst: 0,
        // It holds two pings of everybody: a sweep a second makes 25 to 26 s of each interval of
        // 25 s.
        idle: Some(span("51s")),
        ..defaults()
    };
    let cold = entities::Args { phases: vec![entities::Phase::Cold], all: true, ..defaults() };
    let entities = common.clone();
    vec![
        Preset::of("durable-increment", common, durable),
        Preset::of("churn", common, defaults::<churn::Args>()),
        Preset::of("presence", common, presence.clone()),
        Preset::of("presence-lost", common, presence::Args { lost: 1.0, ..presence.clone() }),
        Preset::of(
            "presence-crowd",
            common,
            presence::Args { members: 10_000, rate: 100.0, ..presence },
        ),
        Preset::of("slow-reader", common, defaults::<slow_reader::Args>()),
        Preset::of("mixed", &timed::<mixed::Args>(common), defaults::<mixed::Args>()),
        Preset::of("connect-auth", common, auth).when_named(),
        Preset::of("connect-burst", common, defaults::<burst::Args>()).when_named(),
        Preset::of("greedy", common, defaults::<greedy::Args>()).when_named(),
        Preset::of("entities-all", common, cold).when_named(),
        Preset::of("soak", &timed::<soak::Args>(common), defaults::<soak::Args>()).when_named(),
        Preset::made_by("entities", move || entities_twice(&entities)).when_named(),
    ]
}

/// The highest rate of each load.
fn searches(common: &Common) -> Vec<Preset> {
    let search = |(name, from): (&'static str, f64)| {
        let load = name.trim_start_matches("find-max-");
        let load = Load::from_str(load, false).expect("it is written here as one of the loads");
        Preset::of(name, common, find_max::Args { load, from, ..defaults() }).when_named()
    };
    let searches = [
        ("find-max-fanout", 100.0),
        ("find-max-fanout-durable", 100.0),
        ("find-max-rooms", 500.0),
        ("find-max-rooms-durable", 500.0),
        ("find-max-ops", 4000.0),
        ("find-max-ops-hot", 4000.0),
    ];
    searches.into_iter().map(search).collect()
}

/// The common arguments of a scenario that has times of its own, which count unless the suite was
/// told otherwise.
fn timed<S: Scenario>(common: &Common) -> Common {
    let usual: Args = parse("").expect("every argument has a default");
    let own: With<S> = parse("").expect("every argument has a default");
    let of = |told: Span, usual: Span, own: Span| if told == usual { own } else { told };
    let duration = of(common.duration, usual.common.duration, own.common.duration);
    let warmup = of(common.warmup, usual.common.warmup, own.common.warmup);
    Common { duration, warmup, ..common.clone() }
}

/// The entities, and after them those that come back on a server that was killed, from what was not
/// in a snapshot yet.
fn entities_twice(common: &Common) -> Result<Vec<Report>> {
    let mut common = Common { run: Some("entities".into()), ..common.clone() };
    let mut first = entities::Args { asleep_within: "4m".parse()?, ..defaults() };
    let mut setup = Setup::new(&common.own)?;
    first.prepare(&mut common, &mut setup)?;
    let server = Server::start(&setup)?;
    let slept = With { common: common.clone(), scenario: first }.perform_at(&server)?;
    server.kill()?;
    let server = Server::start(&setup)?;
    let second = entities::Args { phases: vec![entities::Phase::Crashed], ..defaults() };
    let mut crashed = With { common, scenario: second }.perform_at(&server)?;
    crashed.scenario = "entities-after-kill".to_owned();
    server.stop()?;
    Ok(vec![slept, crashed])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_scenario_has_its_own_times() {
        let times = |words: &str| {
            let Args { common, .. } = parse(words).expect("they are its arguments");
            assert!(presets(&common).len() + searches(&common).len() > 15);
            let Common { duration, warmup, .. } = timed::<soak::Args>(&common);
            [duration, warmup].map(|span| span.0.as_secs())
        };
        assert_eq!(times(""), [1800, 120]);
        assert_eq!(times("--duration 90s"), [90, 120]);
    }
}
