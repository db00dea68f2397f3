//! Rooms, their members and senders, against one server; and the trials made with them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

use super::dialect::Dialect;
use super::line::{Account, Line, MOST_IN_FLIGHT};
use super::pacer::{Pacer, Sender};
use super::tally::{Lane, Tally};
use greenroom_loadtest::client::Tokens;
use greenroom_loadtest::find_max::search;
use greenroom_loadtest::server_use::Source;
use greenroom_loadtest::stats::Summary;

/// After so long without anything new, what is missing is missing.
const QUIET: Duration = Duration::from_millis(500);
/// How long stragglers are waited for in any case.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Whom a stage is set against.
pub struct Host {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it speaks.
    pub dialect: Dialect,
    /// Its process, if it is on this machine.
    pub pid: Option<u32>,
    /// Who connects.
    pub tokens: Tokens,
}

/// How many of what.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Shape {
    /// Rooms.
    pub rooms: usize,
    /// Subscribers of each room.
    pub members: usize,
    /// Connections that publish, evenly spread over the rooms, and subscribe to nothing.
    pub senders: usize,
    /// Size of a message's body.
    pub bytes: usize,
    /// Unanswered ops of each sender, where the server answers.
    pub in_flight: usize,
    /// Connections that come in at the same time.
    pub at_once: usize,
}

/// Everybody in place.
pub struct Stage {
    tally: Arc<Tally>,
    pacer: Pacer,
    listeners: JoinSet<()>,
    source: Source,
    shape: Shape,
}

/// What coming in was like.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// How long it took until all members were subscribed.
    pub seconds: f64,
    /// What the server spent on it, in CPU seconds.
    pub server_cpu_s: Option<f64>,
    /// What this process spent.
    pub client_cpu_s: f64,
}

/// What one rate led to.
#[derive(Debug, Clone)]
pub struct Trial {
    /// Messages a second, over all rooms.
    pub rate: f64,
    /// The window, in seconds.
    pub window_s: f64,
    /// Messages that were due in the window.
    pub due: u64,
    /// Deliveries that these should lead to.
    pub expected: u64,
    /// Deliveries within the window.
    pub arrived: u64,
    /// Answers within the window.
    pub answered: u64,
    /// Deliveries of the messages that were due in it.
    pub delivery: Summary,
    /// Answers to them.
    pub ack: Summary,
    /// What the server spent in the window, in CPU seconds.
    pub server_cpu_s: Option<f64>,
    /// What this process spent in it.
    pub client_cpu_s: f64,
    /// Connections that were lost so far.
    pub gone: usize,
    /// What the server complained of so far.
    pub complaints: BTreeMap<String, u64>,
}

impl Stage {
    /// Brings everybody in: members first, and how that went is told; then the senders.
    pub async fn set(host: &Host, shape: Shape, run: &str) -> Result<(Self, Arrival)> {
        let tally = Arc::new(Tally::new());
        let mut listeners = JoinSet::new();
        let source = Source { metrics: None, pid: host.pid };
        let myself = Source { metrics: None, pid: Some(std::process::id()) };
        let rooms: Vec<_> = (0..shape.rooms).map(|index| host.dialect.room(run, index)).collect();

        let (server, client, began) =
            (source.snapshot().await?, myself.snapshot().await?, Instant::now());
        let members = shape.rooms * shape.members;
        for line in
            come_in(host, members, shape.at_once, |index| Some(rooms[index % rooms.len()].as_str()))
                .await?
        {
            listeners.spawn(line.listen(tally.clone(), None));
        }
        let arrival = Arrival {
            seconds: began.elapsed().as_secs_f64(),
            server_cpu_s: server.until(&source.snapshot().await?).cpu_s,
            client_cpu_s: client.until(&myself.snapshot().await?).cpu_s.unwrap_or(0.0),
        };

        let freed = Arc::new(Notify::new());
        let mut senders = Vec::with_capacity(shape.senders);
        for (index, line) in
            come_in(host, shape.senders, shape.at_once, |_| None).await?.into_iter().enumerate()
        {
            let account =
                host.dialect.acknowledges().then(|| Arc::new(Account::new(freed.clone())));
            let (stream, room) = (line.stream.clone(), rooms[index % rooms.len()].clone());
            listeners.spawn(line.listen(tally.clone(), account.clone()));
            senders.push(Sender {
                stream,
                room,
                account,
                n: 0,
                waiting: Default::default(),
                out: Vec::new(),
            });
        }
        let in_flight = shape.in_flight.min(MOST_IN_FLIGHT);
        let pacer = Pacer {
            senders,
            tally: tally.clone(),
            freed,
            dialect: host.dialect,
            bytes: shape.bytes,
            in_flight,
        };
        Ok((Self { tally, pacer, listeners, source, shape }, arrival))
    }

    /// Publishes at `rate` messages a second over all rooms, and measures all of it but the
    /// warm-up.
    pub async fn trial(&mut self, rate: f64, warmup: Duration, window: Duration) -> Result<Trial> {
        let myself = Source { metrics: None, pid: Some(std::process::id()) };
        let began = self.tally.now_us() + 1000;
        let start = began + warmup.as_micros() as u64;
        let end = start + window.as_micros() as u64;
        self.tally.begin(start, end);
        let (tally, source) = (self.tally.clone(), self.source.clone());
        let costs = async {
            sleep_until(tally.instant(start).into()).await;
            let (server, client, from) =
                (source.snapshot().await?, myself.snapshot().await?, tally.now_us());
            sleep_until(tally.instant(end).into()).await;
            let (server, client) =
                (server.until(&source.snapshot().await?), client.until(&myself.snapshot().await?));
            // The readings are not exactly at the window's ends, and what arrives in it is counted
            // exactly.
            let scale = (end - start) as f64 / (tally.now_us() - from).max(1) as f64;
            anyhow::Ok((server.cpu_s.map(|s| s * scale), client.cpu_s.unwrap_or(0.0) * scale))
        };
        let (_, costs) = tokio::join!(self.pacer.publish(rate, began, end, PATIENCE), costs);
        let (server_cpu_s, client_cpu_s) = costs?;
        // The messages of the schedule that fall into the window, counted as the pacer spaces them.
        let before = |us: u64| ((us - began) as f64 * rate / 1e6).ceil() as u64;
        let due = before(end) - before(start);
        let expected = due * self.shape.members as u64;
        self.settle(due, expected).await;
        Ok(Trial {
            rate,
            window_s: window.as_secs_f64(),
            due,
            expected,
            arrived: self.tally.arrived_in_window(Lane::Delivery),
            answered: self.tally.arrived_in_window(Lane::Ack),
            delivery: self.tally.summary(Lane::Delivery),
            ack: self.tally.summary(Lane::Ack),
            server_cpu_s,
            client_cpu_s,
            gone: self.tally.gone(),
            complaints: self.tally.complaints(),
        })
    }

    /// Waits for the stragglers of the window.
    async fn settle(&self, due: u64, expected: u64) {
        let acks = if self.pacer.dialect.acknowledges() { due } else { 0 };
        let have = || (self.tally.of_window(Lane::Delivery), self.tally.of_window(Lane::Ack));
        let (began, mut last, mut since) = (Instant::now(), have(), Instant::now());
        while self.tally.gone() == 0
            && (last.0 < expected || last.1 < acks)
            && since.elapsed() < QUIET
            && began.elapsed() < PATIENCE
        {
            sleep(LOOK_EVERY).await;
            let now = have();
            if now != last {
                (last, since) = (now, Instant::now());
            }
        }
    }

    /// What the server holds in memory, in bytes.
    pub async fn server_rss(&self) -> Result<Option<f64>> {
        Ok(self.source.snapshot().await?.rss_bytes)
    }

    /// Sends nothing for a while; returns what the server spent on that, in CPU seconds.
    pub async fn idle(&self, time: Duration) -> Result<Option<f64>> {
        let before = self.source.snapshot().await?;
        sleep(time).await;
        let spent = before.until(&self.source.snapshot().await?).cpu_s;
        anyhow::ensure!(self.tally.gone() == 0, "{} idle connections were lost", self.tally.gone());
        Ok(spent)
    }

    /// Lets everybody go.
    pub async fn clear(mut self) {
        self.listeners.shutdown().await;
    }
}

impl Trial {
    /// It as a trial of deliveries.
    pub fn deliveries(self) -> search::Trial {
        let mut errors = self.complaints;
        if self.gone > 0 {
            errors.insert("connections lost".to_owned(), self.gone as u64);
        }
        search::Trial {
            rate: self.rate,
            window_s: self.window_s,
            wanted: self.expected,
            arrived: self.arrived,
            latency: self.delivery,
            server_cpu_s: self.server_cpu_s,
            client_cpu_s: self.client_cpu_s,
            errors,
        }
    }
}

impl search::Tried for Stage {
    async fn trial(
        &mut self,
        rate: f64,
        warmup: Duration,
        window: Duration,
    ) -> Result<search::Trial> {
        Ok(Self::trial(self, rate, warmup, window).await?.deliveries())
    }
}

/// Opens `count` lines, `at_once` at a time; `room` tells what each subscribes to.
async fn come_in<'a>(
    host: &Host,
    count: usize,
    at_once: usize,
    room: impl Fn(usize) -> Option<&'a str>,
) -> Result<Vec<Line>> {
    let opening = (0..count).map(|index| {
        let room = room(index);
        async move {
            let token = host
                .tokens
                .token(&format!("raw-{index}"))
                .map_err(|error| anyhow::anyhow!("{error}"))?;
            let line = Line::open(host.address, host.dialect, room, token.as_deref()).await;
            line.with_context(|| format!("connection {index} of {count} failed"))
        }
    });
    stream::iter(opening).buffer_unordered(at_once.max(1)).try_collect().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use greenroom_loadtest::fake::{Fake, Fault};

    async fn trial(dialect: Dialect, fault: Fault, shape: Shape) -> Trial {
        let fake = Fake::start(fault).await;
        let host = Host { address: fake.address(), dialect, pid: None, tokens: Tokens::Anonymous };
        let (mut stage, arrival) =
            Stage::set(&host, shape, "test").await.expect("everybody is let in");
        assert!(arrival.seconds > 0.0);
        let trial = stage
            .trial(200.0, Duration::from_millis(50), Duration::from_millis(300))
            .await
            .expect("it can be made");
        stage.clear().await;
        trial
    }

    const SHAPE: Shape =
        Shape { rooms: 3, members: 4, senders: 3, bytes: 100, in_flight: 8, at_once: 4 };

    #[tokio::test]
    async fn every_delivery_and_every_answer_is_counted() {
        for dialect in [Dialect::Signals, Dialect::Posts] {
            let trial = trial(dialect, Fault::None, SHAPE).await;
            assert_eq!((trial.due, trial.expected), (60, 240), "{dialect:?}");
            assert_eq!(trial.delivery.count, 240, "{dialect:?}: {trial:?}");
            assert_eq!(
                trial.ack.count,
                if dialect == Dialect::Posts { 60 } else { 0 },
                "{dialect:?}"
            );
            assert!(trial.complaints.is_empty() && trial.gone == 0, "{trial:?}");
        }
    }

    #[tokio::test]
    async fn what_does_not_come_is_missing() {
        let trial = trial(Dialect::Posts, Fault::Drop(20), Shape { rooms: 1, ..SHAPE }).await;
        assert_eq!(
            trial.expected - trial.delivery.count,
            4,
            "one event, for each of four: {trial:?}"
        );
    }

    #[tokio::test]
    async fn refusals_are_complaints() {
        let trial = trial(Dialect::Posts, Fault::RateLimit, SHAPE).await;
        assert!(!trial.complaints.is_empty() && trial.delivery.count == 0, "{trial:?}");
    }

    #[tokio::test]
    async fn a_stage_is_not_set_where_nobody_lets_anybody_in() {
        let host = |address| Host {
            address,
            dialect: Dialect::Signals,
            pid: None,
            tokens: Tokens::Anonymous,
        };
        let address = greenroom_loadtest::server::free_address().expect("there is one");
        assert!(Stage::set(&host(address), SHAPE, "test").await.is_err(), "nobody listens");
    }
}
