//! All clients of a drill.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use greenroom_protocol::Seq;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::member::Member;
use super::record::Record;
use super::stage::{Phase, Stage};
use super::verdict::Aftermath;
use crate::client::Conn;
use crate::history::Notes;
use crate::history::reading::Reading;

/// How long the last answers may take, and after them the last events. The tests' server has
/// nothing on the way.
const SETTLE_WITHIN: Duration =
    if cfg!(test) { Duration::from_millis(500) } else { Duration::from_secs(60) };

pub struct Crew {
    members: JoinSet<Record>,
    settled: mpsc::Receiver<()>,
}

impl Crew {
    pub fn start(stage: &Arc<Stage>) -> Self {
        // Nothing is ever sent: the channel is over once every member has dropped its end.
        let (done, settled) = mpsc::channel(1);
        let mut members = JoinSet::new();
        for index in 0..stage.clients() {
            members.spawn(Member::new(Arc::clone(stage), index, done.clone()).run());
        }
        Self { members, settled }
    }

    /// Has everything answered, reads what the logs hold, lets every client listen up to there, and
    /// reads the logs again.
    pub async fn end(mut self, stage: &Arc<Stage>) -> Aftermath {
        let mut failures = Vec::new();
        stage.turn_to(Phase::Settle);
        // What is not answered by then is judged as such.
        let _ = timeout(SETTLE_WITHIN, self.settled.recv()).await;
        let mut notes = Notes::of(stage.clients(), &stage.clock);
        let heads: Arc<[Seq]> = match read(stage, &mut notes, Reading::Judged).await {
            Ok(heads) => heads.into(),
            Err(error) => {
                failures.push(format!("{error:#}"));
                vec![Seq::ZERO; stage.targets.len()].into()
            }
        };
        stage.turn_to(Phase::Listen { heads, deadline: Instant::now() + SETTLE_WITHIN });
        let mut records = Vec::new();
        while let Some(member) = self.members.join_next().await {
            match member {
                Ok(record) => records.push(record),
                Err(error) => failures.push(format!("a client's task failed: {error}")),
            }
        }
        // Once nobody can be told anything more.
        if let Err(error) = read(stage, &mut notes, Reading::Last).await {
            failures.push(format!("{error:#}"));
        }
        Aftermath { records, read: notes.entries, failures, restarts: 0, leaves: 0 }
    }
}

async fn read(stage: &Stage, notes: &mut Notes, reading: Reading) -> Result<Vec<Seq>> {
    let (mut conn, _) = Conn::open(&stage.run.target, "drill-judge".into(), Vec::new()).await?;
    let entities: Vec<_> = stage.targets.iter().map(|target| target.id.clone()).collect();
    reading.all(&mut conn, &entities, notes).await
}
