//! What happens in a run: drawn from a seed, or by proptest, which makes a failing script smaller.

use proptest::prelude::*;

use super::super::planted::Bug;
use super::world::World;

/// One thing that happens. `at` and `to` are places: 0 or 1.
#[derive(Debug, Clone)]
pub enum Step {
    Push {
        at: u8,
        count: u8,
        size: u16,
    },
    /// Milliseconds.
    Wait(u16),
    /// Percentages of messages, and the longest delay of each in milliseconds.
    Way {
        to: u8,
        loss: u8,
        late: u8,
        twice: u8,
        delay: u8,
    },
    /// Nothing arrives there any more.
    Cut {
        to: u8,
    },
    /// Only beats arrive there any more.
    Deaf {
        to: u8,
    },
    Heal,
    /// All messages on their way are gone, and both ends have connected again.
    WireRestart,
    /// One end has lost its connection, with what was on its way to it.
    Reconnect {
        at: u8,
    },
    /// A new process with a new id.
    Restart {
        at: u8,
    },
    /// The same process makes its link anew.
    Forget {
        at: u8,
    },
    /// The process is stopped for so many milliseconds.
    Pause {
        at: u8,
        ms: u16,
    },
    /// It does not read for so many milliseconds.
    Lazy {
        at: u8,
        ms: u16,
    },
}

/// Any step: small numbers are the simpler ones.
pub fn any_step() -> impl Strategy<Value = Step> {
    let at = || 0u8..2;
    prop_oneof![
        6 => (at(), 1u8..40, size()).prop_map(|(at, count, size)| Step::Push { at, count, size }),
        6 => prop_oneof![1u16..40, 1u16..2_500].prop_map(Step::Wait),
        2 => (at(), 0u8..40, 0u8..40, 0u8..40, 0u8..60).prop_map(|(to, loss, late, twice, delay)| {
            Step::Way { to, loss, late, twice, delay }
        }),
        1 => at().prop_map(|to| Step::Cut { to }),
        1 => at().prop_map(|to| Step::Deaf { to }),
        2 => Just(Step::Heal),
        1 => Just(Step::WireRestart),
        1 => at().prop_map(|at| Step::Reconnect { at }),
        1 => at().prop_map(|at| Step::Restart { at }),
        1 => at().prop_map(|at| Step::Forget { at }),
        1 => (at(), 1u16..2_500).prop_map(|(at, ms)| Step::Pause { at, ms }),
        1 => (at(), 1u16..1_500).prop_map(|(at, ms)| Step::Lazy { at, ms }),
    ]
}

fn size() -> impl Strategy<Value = u16> {
    prop_oneof![8 => 0u16..300, 2 => 0u16..3_000, 1 => 0u16..20_000]
}

/// The script of a seed.
pub fn drawn(seed: u64) -> Vec<Step> {
    let mut rng = fastrand::Rng::with_seed(seed ^ 0x5eed);
    let mut script = Vec::new();
    if rng.bool() {
        // A wire that is bad from the start.
        script.extend((0..2).map(|to| way(to, &mut rng)));
    }
    script.extend((0..rng.usize(4..30)).map(|_| draw(&mut rng)));
    script
}

fn draw(rng: &mut fastrand::Rng) -> Step {
    let at = rng.u8(0..2);
    match rng.u8(0..25) {
        0..6 => {
            let most = [300, 300, 300, 300, 3_000, 20_000][rng.usize(0..6)];
            let count = if most > 300 { 4 } else { 40 };
            Step::Push { at, count: rng.u8(1..count), size: rng.u16(0..most) }
        }
        6..12 => Step::Wait(if rng.bool() { rng.u16(1..40) } else { rng.u16(1..2_500) }),
        12..14 => way(at, rng),
        14 => Step::Cut { to: at },
        15..17 => Step::Heal,
        17 => Step::WireRestart,
        18 => Step::Reconnect { at },
        19 => Step::Restart { at },
        20 => Step::Forget { at },
        21 => Step::Pause { at, ms: rng.u16(1..2_500) },
        22 => Step::Deaf { to: at },
        // Longer than a stall.
        23 => Step::Wait(5_500),
        _ => Step::Lazy { at, ms: rng.u16(1..1_500) },
    }
}

fn way(to: u8, rng: &mut fastrand::Rng) -> Step {
    let mut percent = |most| if rng.bool() { rng.u8(0..most) } else { 0 };
    let (loss, late, twice) = (percent(40), percent(40), percent(101));
    Step::Way { to, loss, late, twice, delay: rng.u8(0..60) }
}

/// Runs a script, lets the wire work again, and judges the whole.
pub fn judge(seed: u64, script: &[Step], bug: Option<Bug>) -> Result<World, String> {
    let mut world = World::new(seed, bug);
    for step in script {
        world.step(step);
        world.verdict()?;
    }
    world.heal();
    world.awaken();
    // A link that was silent, called and stalled is up again by then. Late frames still arrive.
    world.run(7_500);
    world.verdict()?;
    let pair = world.settled();
    world.verdict()?;
    let resets = world.resets();
    world.run(2_500);
    world.verdict()?;
    if world.settled() != pair || world.resets() != resets {
        return Err("unmatched: late frames reset a healthy link".into());
    }
    let frames = world.frames();
    world.run(3_000);
    world.verdict()?;
    if world.frames() != frames {
        return Err(format!("chatter: {} frames on a quiet link", world.frames() - frames));
    }
    Ok(world)
}
