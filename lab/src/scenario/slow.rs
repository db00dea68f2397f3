//! Listeners that stop reading when they are told to, and read on later.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use greenroom_protocol::{EntityId, Seq};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::aside::Aside;
use greenroom_loadtest::peer::Peer;
use greenroom_loadtest::report::Report;
use greenroom_loadtest::run::{OPENING, Run, subscribe};
use greenroom_loadtest::scenario::audience::Audience;

/// The receive buffer of a slow reader's socket: it does not grow, so that the server feels soon
/// that nobody reads, but holds more than one segment of the loopback interface (64 KiB). With
/// less, the kernel sends a little every 200 ms.
const SLOW_RECEIVE_BUFFER: u32 = 256 * 1024;
/// How often to look whether they have caught up.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Slow readers of one entity; they stop for good when this is dropped. They have a board of their
/// own: their latency says how long they stopped, not how fast the server is.
pub struct SlowReaders {
    run: Run,
    audience: Audience,
    mode: watch::Sender<Mode>,
    // Dropped after the tasks that run on it.
    _aside: Aside,
}

/// What they are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Read,
    Stall,
}

impl SlowReaders {
    /// Opens `count` of them; they read.
    pub async fn open(beside: &Run, entity: &EntityId, count: usize) -> Result<Self> {
        let mut run = Run::new(beside.scenario, &beside.common).await?;
        Arc::get_mut(&mut run.target).expect("nobody else has it yet").receive_buffer =
            Some(SLOW_RECEIVE_BUFFER);
        let opened =
            run.open(count, OPENING, |i| (format!("slow-{i}"), vec![subscribe(entity)])).await?;
        run.progress.done();
        let (mode, modes) = watch::channel(Mode::Read);
        let (aside, mut audience) = (Aside::start()?, Audience::default());
        for opened in opened {
            let peer = audience.seat(&run, opened);
            audience.spawn_on(aside.handle(), obey(peer, modes.clone()));
        }
        Ok(Self { run, audience, mode, _aside: aside })
    }

    /// They stop reading.
    pub fn stall(&self) {
        self.mode.send_replace(Mode::Stall);
    }

    /// They read on.
    pub fn read_on(&self) {
        self.mode.send_replace(Mode::Read);
    }

    /// The lowest and the highest of the positions that they have reached; nothing where there are
    /// none.
    pub fn reached(&self) -> Option<(Seq, Seq)> {
        self.audience.reached()
    }

    /// Waits until all have reached what `target` is at the time, or for as long as `within`.
    pub async fn reach(&self, target: impl Fn() -> Option<Seq>, within: Duration) {
        let began = Instant::now();
        while let (Some((slowest, _)), Some(target)) = (self.reached(), target()) {
            if slowest >= target || began.elapsed() > within {
                break;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Who they are, for the verdict.
    pub fn audience(&self) -> &Audience {
        &self.audience
    }

    /// Their own run.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// Adds what went wrong with them to a report.
    pub fn tell(&self, report: &mut Report) {
        for (code, count) in self.run.board.errors() {
            *report.errors.entry(format!("slow_{code}")).or_default() += count;
            // A reset hands a snapshot over where every event is wanted.
            report.expect_none(count, &format!("times `{code}` at slow readers"));
        }
    }
}

/// Reads, stops reading when told to, and reads on.
async fn obey(mut peer: Peer, mut modes: watch::Receiver<Mode>) {
    // An error says that the scenario is over, and with it this task.
    while peer.listen_until(modes.wait_for(|mode| *mode == Mode::Stall)).await
        && modes.wait_for(|mode| *mode == Mode::Read).await.is_ok()
    {}
}
