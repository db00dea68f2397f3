//! `churn`: connections come, subscribe, enter, leave and go; none may fail.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use greenroom_loadtest::scenario::Scenario;
use greenroom_protocol::params::{self, PresenceAction};
use greenroom_protocol::results::{Pong, PresenceList};
use greenroom_protocol::{Call, EntityId, RawJson};
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use greenroom_loadtest::client::Failure;
use greenroom_loadtest::common::Span;
use greenroom_loadtest::peer::Pace;
use greenroom_loadtest::report::Report;
use greenroom_loadtest::run::{Run, subscribe};
use greenroom_loadtest::stats::Lane;

/// The number of connections at a time is about `rate` times `stay`.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Args {
    /// Connections that come per second
    #[arg(long, default_value_t = 200.0)]
    pub rate: f64,
    /// How long each one stays
    #[arg(long, default_value = "1s")]
    pub stay: Span,
    /// The most connections at a time; more than that come late
    #[arg(long, default_value_t = 10_000)]
    pub most: usize,
    /// Rooms over which they are spread
    #[arg(long, default_value_t = 50)]
    pub rooms: usize,
    /// Kind of the rooms
    #[arg(long, default_value = "room")]
    pub kind: String,
}

impl Scenario for Args {
    const NAME: &'static str = "churn";

    async fn run(self, run: Run) -> Result<Report> {
        let run = Arc::new(run);
        let rooms = (0..self.rooms.max(1))
            .map(|i| run.entity(&self.kind, i))
            .collect::<Result<Vec<_>>>()?;
        let coming = come(run.clone(), self.clone(), rooms);
        let mut visits = tokio::spawn(coming);
        let window = run.window(Lane::Connect).await?;
        // Those who are in stay for their time; `come` stops by itself, for it knows when the
        // window ends.
        let (came, failed) = (&mut visits).await?;

        let mut report = Report::new(&run, &self, window)?;
        report.figures.add("visits", came as f64);
        report.figures.add("visits_failed", failed as f64);
        report.figures.add(
            "connects_per_s",
            run.board.in_window(Lane::Connect) as f64 / report.window_s.max(1e-9),
        );
        report.expect_none(failed, "visits failed");
        Ok(report)
    }
}

/// Lets visitors come through warm-up and duration. Returns how many came, and how many failed.
async fn come(run: Arc<Run>, args: Args, rooms: Vec<EntityId>) -> (u64, u64) {
    let mut pace = Pace::open(run.board.now_us() as f64, args.rate);
    let end = run.board.now_us() + run.common.warmup.micros() + run.common.duration.micros();
    let limit = Arc::new(Semaphore::new(args.most.max(1)));
    let (mut visits, mut came, mut failed) = (JoinSet::new(), 0u64, 0u64);
    loop {
        while let Some(done) = visits.try_join_next() {
            failed += u64::from(!matches!(done, Ok(true)));
        }
        let now = run.board.now_us();
        if now >= end {
            break;
        }
        if pace.due(now).is_none() {
            sleep_until(Instant::from_std(run.board.instant(pace.next().min(end)))).await;
            continue;
        }
        let permit = limit.clone().acquire_owned().await.expect("nobody closes the semaphore");
        let (run, room, stay, index) =
            (run.clone(), rooms[came as usize % rooms.len()].clone(), args.stay.0, came as usize);
        came += 1;
        visits.spawn(async move {
            let _permit = permit;
            visit(&run, index, room, stay).await
        });
    }
    failed += visits.join_all().await.into_iter().filter(|well| !well).count() as u64;
    (came, failed)
}

/// One visit; failures are counted on the board by name. Tells whether all went well.
async fn visit(run: &Run, index: usize, room: EntityId, stay: Duration) -> bool {
    // `open_one` counts its own failure.
    let Ok(opened) = run.open_one(index, &format!("visitor-{index}"), vec![subscribe(&room)]).await
    else {
        return false;
    };
    let mut conn = opened.conn;
    let stayed = async {
        for action in [PresenceAction::Enter, PresenceAction::Leave] {
            let meta = (action == PresenceAction::Enter).then(|| {
                RawJson::from_text(format!(r#"{{"visitor":{index}}}"#))
                    .expect("it was made as JSON")
            });
            let began = run.board.now_us();
            let call = Call::Presence(params::Presence { entity: room.clone(), action, meta });
            conn.ask::<PresenceList>(&call).await?;
            run.board.record(Lane::Presence, began);
            if action == PresenceAction::Enter {
                sleep(stay).await;
                conn.ask::<Pong>(&Call::Ping(params::Ping {})).await?;
            }
        }
        conn.close().await
    };
    let outcome: Result<(), Failure> = stayed.await;
    if let Err(failure) = &outcome {
        run.board.error(&failure.code());
    }
    outcome.is_ok()
}
