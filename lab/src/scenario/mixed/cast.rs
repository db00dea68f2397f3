//! Who does what.

use anyhow::{Result, ensure};

use super::load::Load;
use greenroom_loadtest::peer::Pace;

/// Sessions are chosen by this and not by chance: two runs of the same numbers are the same.
const SEED: u64 = 1;

/// What one session does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Role {
    /// Its room, by number.
    pub room: usize,
    /// It stays, and talks; nothing where it comes and goes. Those who talk do so in this order.
    pub talks: Option<usize>,
    /// It follows the hot room too.
    pub hot: bool,
}

/// The roles of all sessions. Of the sessions of a room every other one talks, beginning with the
/// first.
pub fn cast(load: &Load) -> Result<Vec<Role>> {
    ensure!(
        load.rooms > 0 && load.sessions >= load.rooms,
        "each of the {} rooms needs a session, and there must be one",
        load.rooms
    );
    ensure!(
        load.hot_followers <= load.sessions,
        "{} of {} sessions cannot follow the hot room",
        load.hot_followers,
        load.sessions
    );
    for (rate, option) in [
        (load.signals, "signals"),
        (load.posts, "posts"),
        (load.churn, "churn"),
        (load.hot_rate, "hot-rate"),
    ] {
        ensure!(rate >= 0.0, "`--{option}` is {rate}; it must not be below 0");
    }
    let mut order: Vec<usize> = (0..load.sessions).collect();
    fastrand::Rng::with_seed(SEED).shuffle(&mut order);
    let mut hot = vec![false; load.sessions];
    order.iter().take(load.hot_followers).for_each(|session| hot[*session] = true);
    let mut talkers = 0..;
    let role = |session: usize| {
        let stays = (session / load.rooms).is_multiple_of(2);
        Role {
            room: session % load.rooms,
            talks: stays.then(|| talkers.next()).flatten(),
            hot: hot[session],
        }
    };
    Ok((0..load.sessions).map(role).collect())
}

/// The pace of the `turn`th of `talkers`, who take turns and together send `per_second` messages
/// from `from_us` on; nothing where nothing is to be sent.
pub fn pace(turn: usize, talkers: usize, from_us: u64, per_second: f64) -> Option<Pace> {
    (per_second > 0.0).then(|| {
        Pace::open(from_us as f64 + turn as f64 * 1e6 / per_second, per_second / talkers as f64)
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        load: Load,
    }

    fn load(line: &str) -> Load {
        Line::try_parse_from(std::iter::once("mixed").chain(line.split_whitespace()))
            .expect("the line is good")
            .load
    }

    #[test]
    fn every_room_has_somebody_who_talks_and_somebody_who_goes() {
        let load = load("--sessions 23 --rooms 5 --hot-followers 7");
        let roles = cast(&load).expect("the numbers fit");
        assert_eq!(roles.iter().filter(|role| role.hot).count(), 7);
        for room in 0..5 {
            let (talk, go): (Vec<&Role>, Vec<&Role>) = roles
                .iter()
                .filter(|role| role.room == room)
                .partition(|role| role.talks.is_some());
            assert!(talk.len() >= go.len() && !go.is_empty(), "{room}: {talk:?} {go:?}");
        }
        let turns: Vec<_> = roles.iter().filter_map(|role| role.talks).collect();
        assert_eq!(turns, (0..turns.len()).collect::<Vec<_>>());
        let first: Vec<_> = roles
            .iter()
            .filter(|role| role.talks.is_some())
            .map(|role| role.room)
            .take(6)
            .collect();
        assert_eq!(first, [0, 1, 2, 3, 4, 0], "the rooms take turns as well");
        assert_eq!(roles, cast(&load).expect("the same numbers"), "and nothing is left to chance");
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        for line in [
            "--rooms 0",
            "--sessions 10 --rooms 11 --hot-followers 0",
            "--sessions 500 --hot-followers 501",
            "--posts=-1",
        ] {
            assert!(cast(&load(line)).is_err(), "{line}");
        }
    }

    #[test]
    fn together_they_keep_the_rate() {
        let due = |turn| {
            let mut pace = pace(turn, 4, 1000, 2000.0).expect("there is a rate");
            std::iter::from_fn(move || pace.due(10_999)).collect::<Vec<_>>()
        };
        let mut all: Vec<_> = (0..4).flat_map(due).collect();
        all.sort_unstable();
        assert_eq!(
            all,
            (0..20).map(|i| 1000 + i * 500).collect::<Vec<u64>>(),
            "2 a millisecond, each at a time of its own"
        );
        assert_eq!(pace(0, 4, 0, 0.0), None);
    }
}
