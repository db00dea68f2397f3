//! Scenarios with the arguments that a suite gives them, each on a server of its own.

use anyhow::{Result, bail};
use greenroom_loadtest::common::Common;
use greenroom_loadtest::report::{self, Report};
use greenroom_loadtest::scenario::{Scenario, With};
use greenroom_loadtest::server;

/// A scenario of a suite: its name, and how it is run.
pub struct Preset {
    name: &'static str,
    /// Whether it runs only where it is named: some take minutes.
    named: bool,
    run: Box<dyn FnOnce() -> Result<Vec<Report>>>,
}

impl Preset {
    /// A scenario with these arguments.
    pub fn of(name: &'static str, common: &Common, scenario: impl Scenario + 'static) -> Self {
        let common = common.clone();
        Self::made_by(name, move || Ok(vec![With { common, scenario }.perform()?]))
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

/// Runs presets and delivers their reports; tells whether all promises were kept.
pub fn run(presets: Vec<Preset>, only: &[String], common: &Common) -> Result<bool> {
    let presets = choose(presets, only)?;
    if let Some(cpus) = &common.client_cpus {
        server::pin_this_process(cpus)?;
    }
    let (mut reports, mut outcome) = (Vec::new(), Ok(()));
    for Preset { name, run, .. } in presets {
        eprintln!("{name} ...");
        match run() {
            Ok(mut more) => {
                if let Some(first) = more.first_mut() {
                    first.scenario = name.to_owned();
                }
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
        bail!("there is no scenario `{unknown}`; there are {}", names.join(", "));
    }
    presets.retain(|preset| match only {
        [] => !preset.named,
        only => only.iter().any(|name| name == preset.name),
    });
    Ok(presets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choosing() {
        let chosen = |only: &[&str]| {
            let preset = |name| Preset::made_by(name, || Ok(Vec::new()));
            let all = vec![preset("a"), preset("long").when_named(), preset("b")];
            let only: Vec<_> = only.iter().map(|name| (*name).to_owned()).collect();
            choose(all, &only).map(|chosen| chosen.iter().map(|p| p.name).collect::<Vec<_>>())
        };
        assert_eq!(chosen(&["b", "a"]).expect("both exist"), ["a", "b"]);
        assert_eq!(chosen(&[]).expect("nothing is unknown"), ["a", "b"], "but for what is named");
        assert_eq!(chosen(&["long"]).expect("it exists"), ["long"]);
        assert!(chosen(&["c"]).is_err());
    }
}
