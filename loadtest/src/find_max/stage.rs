//! Rooms, their members and senders, and the trials made with them.

use std::time::Duration;

use anyhow::Result;
use tokio::time::{sleep_until, timeout};

use super::search::{Trial, Tried};
use crate::common::Common;
use crate::peer::payload::What;
use crate::peer::{Pace, Payload, Peer, Plan, Senders};
use crate::run::{OPENING, Run, settle, subscribe};
use crate::scenario::audience::Audience;
use crate::server_use::Source;
use crate::stats::Lane;

/// After so long without anything new, what is missing is missing.
const QUIET: Duration = Duration::from_millis(500);
/// How long stragglers are waited for in any case.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many of what.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub rooms: usize,
    /// Subscribers of each room.
    pub members: usize,
    /// Connections that publish, evenly spread over the rooms, and subscribe to nothing.
    pub senders: usize,
    /// What they publish.
    pub what: What,
    pub bytes: usize,
    /// Unanswered ops of each sender; signals are not answered.
    pub in_flight: usize,
    /// Whether acknowledgements count, and not deliveries.
    pub acks: bool,
}

/// Everybody in place.
pub struct Stage {
    run: Run,
    _audience: Audience,
    senders: Vec<(Peer, Plan)>,
    shape: Shape,
}

impl Stage {
    /// Brings everybody in, in rooms that no stage with another `number` has.
    pub async fn set(common: &Common, shape: Shape, number: usize) -> Result<Self> {
        let run = Run::new("find-max", common).await?;
        let name = |index: usize| run.entity("room", format!("{number}-{index}"));
        let rooms = (0..shape.rooms).map(name).collect::<Result<Vec<_>>>()?;
        let mut audience = Audience::default();
        let member = |i: usize| (format!("member-{i}"), vec![subscribe(&rooms[i % shape.rooms])]);
        audience.listen(&run, run.open(shape.rooms * shape.members, OPENING, member).await?);
        let sender = |i: usize| (format!("sender-{i}"), Vec::new());
        let mut senders = Vec::with_capacity(shape.senders);
        for opened in run.open(shape.senders, OPENING, sender).await? {
            let room = rooms[opened.index % shape.rooms].clone();
            let peer = Peer::new(opened.conn, run.board.clone(), None);
            let mut payload = Payload::new(shape.what, vec![room], shape.bytes);
            // What is searched is the limit of delivering signals, not of answering them.
            payload.answered = shape.what != What::Signal;
            let in_flight = shape.in_flight.min(peer.limit());
            let plan = Plan { payload, pace: Pace::Closed, in_flight };
            senders.push((peer, plan));
        }
        run.progress.done();
        Ok(Self { run, _audience: audience, senders, shape })
    }

    fn lane(&self) -> Lane {
        if self.shape.acks { Lane::Ack } else { Lane::Delivery }
    }
}

impl Tried for Stage {
    /// Publishes at `rate` messages a second over all rooms, evenly spread over senders and time,
    /// and measures all of it but the warm-up.
    async fn trial(&mut self, rate: f64, warmup: Duration, window: Duration) -> Result<Trial> {
        let (board, source) = (&self.run.board, &self.run.source);
        let began = board.now_us() + 1000;
        let start = began + warmup.as_micros() as u64;
        let end = start + window.as_micros() as u64;
        board.open_between(start, end);
        let (mut sending, mut due) = (Senders::default(), 0);
        let each = rate / self.shape.senders as f64;
        for (i, (peer, mut plan)) in std::mem::take(&mut self.senders).into_iter().enumerate() {
            plan.pace = Pace::open(began as f64 + i as f64 * 1e6 / rate, each);
            due += plan.pace.before(end) - plan.pace.before(start);
            sending.start(i, peer, plan);
        }
        let myself = Source { metrics: None, pid: Some(std::process::id()) };
        sleep_until(board.instant(start).into()).await;
        let (server, client) = (source.snapshot().await?, myself.snapshot().await?);
        let from = board.now_us();
        sleep_until(board.instant(end).into()).await;
        let server = server.until(&source.snapshot().await?).cpu_s;
        let client = client.until(&myself.snapshot().await?).cpu_s.unwrap_or(0.0);
        // The readings are not exactly at the window's ends, and what arrives in it is counted
        // exactly.
        let scale = (end - start) as f64 / (board.now_us() - from).max(1) as f64;
        for sent in sending.stop().await? {
            self.senders.extend(sent.peer.map(|peer| (peer, sent.plan)));
        }
        let wanted = if self.shape.acks { due } else { due * self.shape.members as u64 };
        if self.run.board.errors().is_empty() {
            // The stragglers of the window.
            let have = || self.run.board.summary(self.lane()).count;
            let _ = timeout(PATIENCE, settle(have, wanted, QUIET)).await;
        }
        Ok(Trial {
            rate,
            window_s: window.as_secs_f64(),
            wanted,
            arrived: self.run.board.in_window(self.lane()),
            latency: self.run.board.summary(self.lane()),
            server_cpu_s: server.map(|s| s * scale),
            client_cpu_s: client * scale,
            errors: self.run.board.errors(),
        })
    }
}
