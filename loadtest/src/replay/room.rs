//! One file's room: its driver sends the steps out on time, and one line only after the one before
//! is acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use anyhow::{Context, Result};
use greenroom_protocol::results::Sent;
use greenroom_protocol::{EntityId, Seq};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::history;
use super::judge::Outcome;
use super::keep::{Acked, Keeper, Line};
use super::plan::{Act, Plan};
use super::session::{self, Heard, Order, Stage};
use crate::run::Run;

/// Orders that wait for a session; when there are more, the driver waits.
const ORDERS: usize = 16;

/// A room and its plan.
pub struct Room {
    stage: Arc<Stage>,
    plan: Plan,
    speed: f64,
    keeper: Option<Arc<Keeper>>,
    sessions: Vec<Option<Handle>>,
    tasks: Vec<JoinHandle<Heard>>,
    /// Where the room's log stood before the first line.
    base: Seq,
    acked: Vec<Acked>,
}

struct Handle {
    orders: mpsc::Sender<Order>,
    /// Until the session has joined.
    joined: Option<oneshot::Receiver<Seq>>,
}

impl Room {
    /// A room that nobody has entered yet.
    pub fn new(
        run: Arc<Run>,
        entity: EntityId,
        plan: Plan,
        speed: f64,
        keeper: Option<Arc<Keeper>>,
    ) -> Self {
        let intended = plan.lines.iter().map(|_| AtomicU64::new(0)).collect();
        let sessions = plan.sessions.iter().map(|_| None).collect();
        let stage = Arc::new(Stage { run, entity, intended });
        Self { stage, plan, speed, keeper, sessions, tasks: Vec::new(), base: 0, acked: Vec::new() }
    }

    /// Lets those in who are there from the start.
    ///
    /// # Errors
    /// Where one of them cannot come.
    pub async fn fill(mut self) -> Result<Self> {
        self.stage.run.progress.say(format!("filling {}", self.stage.entity));
        // In small groups: a server has its limits on how many it lets in at a time.
        for group in self.plan.present.clone().chunks(32) {
            group.iter().for_each(|session| self.join(*session));
            for session in group {
                self.base = self
                    .joined(*session)
                    .await
                    .with_context(|| format!("nobody can enter `{}`", self.stage.entity))?;
            }
        }
        Ok(self)
    }

    /// Plays the plan to its end, and reads the history.
    pub async fn play(mut self) -> Outcome {
        let mut failures = Vec::new();
        if let Err(error) = self.act().await {
            failures.push(format!("`{}`: {error:#}", self.stage.entity));
        }
        let end = self.last();
        for session in 0..self.sessions.len() {
            self.order(session, Order::Leave(end)).await;
        }
        let mut heard = Vec::with_capacity(self.tasks.len());
        for task in self.tasks {
            match task.await {
                Ok(session) => heard.push(session),
                Err(error) => failures
                    .push(format!("`{}`: a session's task failed: {error}", self.stage.entity)),
            }
        }
        let history = match read_history(&self.stage, self.base).await {
            Ok(events) => Some(events),
            Err(error) => {
                failures.push(format!("{error:#}"));
                None
            }
        };
        let difference = history.map(|events| history::compare(&self.acked, &events));
        Outcome {
            lines: self.plan.lines.len() as u64,
            notices: self.plan.notices as u64,
            acked: self.acked,
            heard,
            difference,
            failures,
        }
    }

    async fn act(&mut self) -> Result<()> {
        let (began, began_us) = (Instant::now(), self.stage.run.board.now_us());
        for step in std::mem::take(&mut self.plan.steps) {
            let at_s = step.at_s / self.speed;
            sleep_until(began + std::time::Duration::from_secs_f64(at_s)).await;
            match step.act {
                Act::Join => self.join(step.session),
                Act::Rename(nick) => self.order(step.session, Order::Rename(nick)).await,
                Act::Leave => {
                    let last = self.last();
                    self.order(step.session, Order::Leave(last)).await;
                    self.sessions[step.session] = None;
                }
                Act::Say(line) => {
                    // Never 0, which stands for a line that was not said yet.
                    self.stage.intended[line].store(began_us + (at_s * 1e6) as u64 + 1, Relaxed);
                    let sent = self.say(step.session, line).await?;
                    self.remember(line, &sent)?;
                }
            }
        }
        Ok(())
    }

    fn join(&mut self, session: usize) {
        let (orders, inbox) = mpsc::channel(ORDERS);
        let (tell, joined) = oneshot::channel();
        self.sessions[session] = Some(Handle { orders, joined: Some(joined) });
        let work = session::run(
            self.stage.clone(),
            session,
            self.plan.sessions[session].clone(),
            inbox,
            tell,
        );
        self.tasks.push(tokio::spawn(work));
    }

    /// Waits until a session has joined; tells where its subscription begins.
    async fn joined(&mut self, session: usize) -> Result<Seq> {
        let joined = self.sessions[session].as_mut().and_then(|handle| handle.joined.take());
        match joined {
            Some(joined) => joined
                .await
                .with_context(|| format!("`{}` could not join", self.plan.sessions[session])),
            None => Ok(self.base),
        }
    }

    async fn say(&mut self, session: usize, line: usize) -> Result<Sent> {
        self.joined(session).await?;
        let (done, sent) = oneshot::channel();
        let body = Line { text: self.plan.lines[line].clone(), line };
        self.order(session, Order::Say(body, done)).await;
        sent.await.with_context(|| {
            format!("line {line} of `{}` was not acknowledged", self.plan.sessions[session])
        })
    }

    /// Gives an order. A session that failed takes none; its failure is told by its task.
    async fn order(&self, session: usize, order: Order) {
        if let Some(handle) = &self.sessions[session] {
            let _ = handle.orders.send(order).await;
        }
    }

    fn remember(&mut self, line: usize, sent: &Sent) -> Result<()> {
        let body = Line { text: self.plan.lines[line].clone(), line };
        let acked = Acked {
            entity: self.stage.entity.clone(),
            epoch: sent.epoch.as_str().to_owned(),
            seq: sent.seq,
            body,
        };
        if let Some(keeper) = &self.keeper {
            keeper.keep(&acked)?;
        }
        self.acked.push(acked);
        Ok(())
    }

    fn last(&self) -> Seq {
        self.acked.last().map_or(self.base, |acked| acked.seq)
    }
}

async fn read_history(
    stage: &Stage,
    after: Seq,
) -> Result<Vec<greenroom_protocol::results::Event>> {
    let mut opened = stage
        .run
        .open_patiently(0, "checker", Vec::new())
        .await
        .context("the checking connection failed")?;
    history::read(&mut opened.conn, &stage.entity, after).await
}
