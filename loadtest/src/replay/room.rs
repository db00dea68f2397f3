//! One file's room: its driver sends the steps out on time, and one line only after the one before
//! is acknowledged.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::{Context, Result};
use greenroom_protocol::Seq;
use greenroom_protocol::results::Sent;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::plan::{Act, Plan};
use super::session::{self, Heard, Line, Order, Stage};

/// Orders that wait for a session; when there are more, the driver waits.
const ORDERS: usize = 16;

/// A room and its plan.
pub struct Room {
    stage: Arc<Stage>,
    plan: Plan,
    speed: f64,
    /// The number of its first session among those of all rooms.
    first: usize,
    sessions: Vec<Option<Handle>>,
    tasks: Vec<JoinHandle<Heard>>,
    /// How far the room's log is known to go.
    last: Seq,
}

struct Handle {
    orders: mpsc::Sender<Order>,
    /// Until the session has joined.
    joined: Option<oneshot::Receiver<Seq>>,
}

impl Room {
    /// A room that nobody has entered yet.
    pub fn new(stage: Stage, plan: Plan, speed: f64, first: usize) -> Self {
        let sessions = plan.sessions.iter().map(|_| None).collect();
        let (stage, tasks) = (Arc::new(stage), Vec::new());
        Self { stage, plan, speed, first, sessions, tasks, last: Seq::ZERO }
    }

    pub fn sessions(&self) -> usize {
        self.plan.sessions.len()
    }

    /// Lets those in who are there from the start.
    pub async fn fill(mut self) -> Result<Self> {
        self.stage.run.progress.say(format!("filling {}", self.stage.entity));
        // In small groups, since a server limits new connections.
        for group in self.plan.present.clone().chunks(32) {
            group.iter().for_each(|session| self.join(*session));
            for session in group {
                let joined = self.joined(*session).await;
                joined.with_context(|| format!("nobody can enter `{}`", self.stage.entity))?;
            }
        }
        Ok(self)
    }

    /// Plays the plan to its end.
    pub async fn play(mut self) -> Heard {
        let mut all = Heard::default();
        if let Err(error) = self.act().await {
            all.failures.push(format!("`{}`: {error:#}", self.stage.entity));
        }
        for session in 0..self.sessions.len() {
            self.order(session, Order::Leave(self.last)).await;
        }
        for task in self.tasks {
            match task.await {
                Ok(heard) => {
                    all.entries.extend(heard.entries);
                    all.failures.extend(heard.failures);
                }
                Err(error) => all.failures.push(format!("a session's task failed: {error}")),
            }
        }
        all
    }

    async fn act(&mut self) -> Result<()> {
        let (began, began_us) = (Instant::now(), self.stage.run.board.now_us());
        for step in std::mem::take(&mut self.plan.steps) {
            let at_s = step.at_s / self.speed;
            sleep_until(began + Duration::from_secs_f64(at_s)).await;
            match step.act {
                Act::Join => self.join(step.session),
                Act::Rename(nick) => self.order(step.session, Order::Rename(nick)).await,
                Act::Leave => {
                    self.order(step.session, Order::Leave(self.last)).await;
                    self.sessions[step.session] = None;
                }
                Act::Say(line) => {
                    self.stage.intended[line].store(began_us + (at_s * 1e6) as u64, Relaxed);
                    self.last = self.say(step.session, line).await?.seq;
                }
            }
        }
        Ok(())
    }

    fn join(&mut self, session: usize) {
        let (orders, inbox) = mpsc::channel(ORDERS);
        let (tell, joined) = oneshot::channel();
        self.sessions[session] = Some(Handle { orders, joined: Some(joined) });
        let nick = self.plan.sessions[session].clone();
        let work = session::run(self.stage.clone(), self.first + session, nick, inbox, tell);
        self.tasks.push(tokio::spawn(work));
    }

    /// Waits until a session has joined.
    async fn joined(&mut self, session: usize) -> Result<()> {
        let joined = self.sessions[session].as_mut().and_then(|handle| handle.joined.take());
        if let Some(joined) = joined {
            let position = joined
                .await
                .with_context(|| format!("`{}` could not join", self.plan.sessions[session]))?;
            self.last = self.last.max(position);
        }
        Ok(())
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

    /// Gives an order. A session that failed takes none; its task reports the failure.
    async fn order(&self, session: usize, order: Order) {
        if let Some(handle) = &self.sessions[session] {
            let _ = handle.orders.send(order).await;
        }
    }
}
