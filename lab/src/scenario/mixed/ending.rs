//! How it ended: what has arrived, and what should have.

use std::sync::MutexGuard;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::{Context, Result};
use greenroom_protocol::params::{Presence, PresenceAction};
use greenroom_protocol::results::PresenceList;
use greenroom_protocol::{Call, Seq};
use tokio::time::{Instant, sleep};

use super::seat::Seat;
use super::stage::Stage;
use crate::scenario::presence::mirror::crowd;
use crate::scenario::slow::SlowReaders;
use greenroom_loadtest::check::Verdict;
use greenroom_loadtest::client::Conn;
use greenroom_loadtest::report::Report;
use greenroom_loadtest::scenario::audience::{ends, judge_events};
use greenroom_loadtest::stats::Lane;

/// How often to look again.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// After so long without any change, what is missing is missing. The tests' server, in the same
/// process, has nothing on the way.
const PATIENCE: Duration =
    if cfg!(test) { Duration::from_millis(200) } else { Duration::from_secs(5) };

/// See the module's head.
pub struct Ending {
    /// Where the rooms' logs end, the hot one's last.
    pub ends: Vec<Seq>,
    verdict: Verdict,
    slow: Verdict,
    went: u64,
    replayed: u64,
    snapshots: u64,
    missing: u64,
    extra: u64,
    hot_acked: u64,
    disagree: u64,
}

impl Ending {
    /// Waits until everybody has everything, or gets nothing more. `went`: how often a session
    /// left; `hot_acked`: how many posts the hot room acknowledged.
    pub async fn of(stage: &Stage, slow: &SlowReaders, went: u64, hot_acked: u64) -> Result<Self> {
        let run = &stage.run;
        run.progress.say("waiting for the last deliveries");
        let ends: Vec<Seq> =
            ends(run, &stage.rooms).await?.into_iter().map(|state| state.seq).collect();
        let hot_end = ends[ends.len() - 1];
        let verdicts = || {
            (
                over_all(stage, |room, seat| seat.verdict(ends[room])),
                slow.audience().verdict(|_| hot_end),
            )
        };
        let lost = || {
            let (members, slow) = verdicts();
            members.lost + slow.lost
        };
        until_none(async || Ok(lost())).await?;

        let mut checker = run
            .open_patiently(0, "checker", Vec::new())
            .await
            .context("the checking connection failed")?
            .conn;
        let sessions = sessions_by_room(stage);
        let mut open: Vec<usize> = (0..sessions.len()).collect();
        let disagree = until_none(async || {
            let mut disagree = 0;
            for room in std::mem::take(&mut open) {
                let here = disagreeing(stage, room, &sessions[room], &mut checker).await?;
                if here > 0 {
                    open.push(room);
                }
                disagree += here;
            }
            Ok(disagree)
        })
        .await?;

        // What was sent and not acknowledged may have happened or not; what was acknowledged has.
        let acked =
            || stage.counts.acked.iter().map(|acked| acked.load(Relaxed)).chain([hot_acked]);
        let missing =
            ends.iter().zip(acked()).map(|(end, acked)| acked.saturating_sub(end.get())).sum();
        let extra =
            ends.iter().zip(acked()).map(|(end, acked)| end.get().saturating_sub(acked)).sum();
        let (verdict, slow) = verdicts();
        let returns = |pick: fn((u64, u64)) -> u64| {
            stage.seats.iter().flatten().map(|seat| pick(locked(seat).returns())).sum()
        };
        let (replayed, snapshots) =
            (returns(|(replayed, _)| replayed), returns(|(_, snapshots)| snapshots));
        Ok(Self {
            verdict,
            slow,
            went,
            replayed,
            snapshots,
            missing,
            extra,
            hot_acked,
            disagree,
            ends,
        })
    }

    /// Adds it all to a report.
    pub fn tell(&self, stage: &Stage, slow: &SlowReaders, report: &mut Report) {
        let (board, counts) = (&stage.run.board, &stage.counts);
        let posts = counts.posts.load(Relaxed);
        let unanswered = counts.unanswered.load(Relaxed) as u64;
        let figures = [
            ("sessions", stage.load.sessions as u64),
            ("rooms", stage.load.rooms as u64),
            ("signals_sent", counts.signals.load(Relaxed)),
            ("posts_sent", posts),
            ("hot_posts", self.hot_acked),
            ("signal_deliveries", board.ever(Lane::Signal)),
            ("post_deliveries", board.ever(Lane::Post)),
            ("hot_deliveries", board.ever(Lane::Hot)),
            ("went", self.went),
            ("events_handed_over", self.replayed),
            ("snapshots_instead_of_events", self.snapshots),
            ("slow_events_received", self.slow.seen),
            ("unanswered", unanswered),
        ];
        figures.into_iter().for_each(|(name, count)| report.figures.add(name, count as f64));
        let mut all = self.verdict;
        all += self.slow;
        judge_events(report, all);
        slow.tell(report);
        report.expect_none(counts.failed.load(Relaxed), "sessions failed");
        report.expect_none(self.missing, "acknowledged posts are not in the log");
        // Refusals are not answered with an acknowledgement either, but nothing was done.
        let unacknowledged =
            board.sent_ever() - counts.signals.load(Relaxed) - board.ever(Lane::Ack);
        report.expect_none(
            self.extra.saturating_sub(unacknowledged),
            "posts happened more often than they were sent",
        );
        report.expect_none(unanswered, "requests were not answered");
        report.expect_none(
            self.disagree,
            "sessions disagree with the server about who is in their room",
        );
    }
}

/// Counts again and again until there are none, or their number does not change any more; returns
/// the last count.
async fn until_none(mut count: impl AsyncFnMut() -> Result<u64>) -> Result<u64> {
    let (mut last, mut since) = (u64::MAX, Instant::now());
    loop {
        let now = count().await?;
        if now != last {
            (last, since) = (now, Instant::now());
        }
        if now == 0 || since.elapsed() >= PATIENCE {
            return Ok(now);
        }
        sleep(LOOK_EVERY).await;
    }
}

/// The sum of the verdicts on all seats.
fn over_all(stage: &Stage, verdict: impl Fn(usize, &Seat) -> Verdict) -> Verdict {
    let mut total = Verdict::default();
    for (room, seat) in (0..stage.cast.len()).flat_map(|session| stage.follows(session)) {
        total += verdict(room, &locked(seat));
    }
    total
}

fn locked(seat: &std::sync::Mutex<Seat>) -> MutexGuard<'_, Seat> {
    seat.lock().expect("no holder panics")
}

/// The sessions of each room.
fn sessions_by_room(stage: &Stage) -> Vec<Vec<usize>> {
    let mut sessions = vec![Vec::new(); stage.load.rooms];
    stage.cast.iter().enumerate().for_each(|(session, role)| sessions[role.room].push(session));
    sessions
}

/// How many of a room's sessions believe something else than the server says about who is here; all
/// of them are, in the end.
async fn disagreeing(
    stage: &Stage,
    room: usize,
    sessions: &[usize],
    checker: &mut Conn,
) -> Result<u64> {
    let call = Call::Presence(Presence {
        entity: stage.rooms[room].clone(),
        action: PresenceAction::List,
        meta: None,
    });
    let list: PresenceList =
        checker.ask(&call).await.context("the server does not say who is here")?;
    let crowd = list
        .members
        .as_deref()
        .map(crowd)
        .transpose()
        .context("a listed member has another meta than was set")?;
    let agrees = |session: &&usize| {
        stage.mirrors[**session]
            .lock()
            .expect("no holder panics")
            .agrees(list.count, crowd.as_ref())
    };
    let disagree = sessions.iter().filter(|session| !agrees(session)).count();
    Ok((disagree as u64).max(list.count.abs_diff(sessions.len() as u64)))
}
