//! One run: the target, the board, and the window in which it is measured.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use futures_util::StreamExt;
use futures_util::stream;
use greenroom_protocol::params::{EventPolicy, Send, SignalPolicy, Subscribe};
use greenroom_protocol::results::Subscribed;
use greenroom_protocol::{Call, EntityId, RawJson};
use tokio::time::sleep;

use crate::client::{Conn, Failure, Target, Tokens, Who};
use crate::common::Common;
use crate::progress::Progress;
use crate::server_use::{ServerUse, Source};
use crate::stats::{Board, Lane, Sample, series};

/// How many connections are being opened at the same time, unless a scenario says otherwise.
pub const OPENING: usize = 64;
/// How often a connection is tried if the server is busy.
const OPEN_TRIES: usize = 60;

/// What a scenario works with.
pub struct Run {
    pub common: Common,
    pub target: Arc<Target>,
    /// Where everything is counted.
    pub board: Arc<Board>,
    /// Where the server's costs are read.
    pub source: Source,
    pub progress: Progress,
    pub started: SystemTime,
    pub scenario: &'static str,
    name: String,
}

/// What was measured in a window.
#[derive(Default)]
pub struct Window {
    pub seconds: f64,
    /// What the server spent in it.
    pub server: ServerUse,
    pub series: Vec<Sample>,
}

impl Run {
    /// Prepares a run of `scenario`.
    pub async fn new(scenario: &'static str, common: &Common) -> Result<Self> {
        let tokens = match (&common.token, &common.secret) {
            (Some(token), _) => Tokens::Fixed(token.clone()),
            (None, Some(file)) => Tokens::from_secret(file)?,
            (None, None) => Tokens::Anonymous,
        };
        let target = Target::new(&common.url, common.codec.into(), tokens).await?;
        let source = Source { metrics: common.metrics.clone(), pid: common.pid };
        source.snapshot().await?;
        let started = SystemTime::now();
        // Seconds and a random part, so that two runs on one server have different names.
        let unique = || {
            let seconds = started.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
            format!("{seconds:x}{:03x}", fastrand::u16(..4096))
        };
        Ok(Self {
            common: common.clone(),
            target: Arc::new(target),
            board: Arc::new(Board::default()),
            source,
            progress: Progress::new(scenario, !common.no_progress),
            started,
            scenario,
            name: common.run.clone().unwrap_or_else(unique),
        })
    }

    pub fn entity(&self, kind: &str, name: impl std::fmt::Display) -> Result<EntityId> {
        let id = format!("{kind}:lt-{}-{name}", self.name);
        EntityId::parse(&id).with_context(|| format!("`{id}` is not a valid entity id"))
    }

    /// Opens `count` connections, `at_once` at a time; `who` returns each one's user
    /// and subscriptions.
    pub async fn open(
        &self,
        count: usize,
        at_once: usize,
        who: impl Fn(usize) -> (String, Vec<Subscribe>),
    ) -> Result<Vec<Opened>> {
        self.progress.say(format!("opening {count} connections"));
        let mut opening = stream::iter(0..count).map(|index| {
            let (user, subscriptions) = who(index);
            async move { (index, self.open_patiently(index, &user, subscriptions).await) }
        });
        let mut opening = std::pin::pin!(opening.by_ref().buffer_unordered(at_once));
        let mut opened = Vec::with_capacity(count);
        while let Some((index, result)) = opening.next().await {
            opened.push(result.with_context(|| format!("connection {index} of {count} failed"))?);
        }
        opened.sort_by_key(|opened| opened.index);
        Ok(opened)
    }

    /// Opens one connection, and tries again when the server asks for that because it is busy or
    /// limits new connections. For connections whose opening is not measured; refusals are still
    /// counted.
    pub async fn open_patiently(
        &self,
        index: usize,
        user: &str,
        subscriptions: Vec<Subscribe>,
    ) -> Result<Opened, Failure> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.open_one(index, user, subscriptions.clone()).await {
                Err(failure) if tries < OPEN_TRIES => match failure.retry_after() {
                    // Not all at the same moment.
                    Some(after) => sleep(after.mul_f64(1.0 + fastrand::f64())).await,
                    None => return Err(failure),
                },
                outcome => return outcome,
            }
        }
    }

    /// Opens one connection, times it, and counts it where it fails.
    pub async fn open_one(
        &self,
        index: usize,
        user: &str,
        subscriptions: Vec<Subscribe>,
    ) -> Result<Opened, Failure> {
        let began = self.board.now_us();
        let who = Who { number: index, ..user.into() };
        match Conn::open(&self.target, who, subscriptions).await {
            Ok((conn, subscribed)) => {
                self.board.record(Lane::Connect, began);
                Ok(Opened { index, conn, subscribed })
            }
            Err(failure) => {
                self.board.error(&failure.code());
                Err(failure)
            }
        }
    }

    /// Waits for the warm-up, then measures for the duration; `main` is the lane whose latency is
    /// shown over time.
    pub async fn window(&self, main: Lane) -> Result<Window> {
        self.progress.say("warming up");
        sleep(self.common.warmup.0).await;
        self.measure(main, sleep(self.common.duration.0)).await
    }

    /// Measures while `work` goes on.
    pub async fn measure(&self, main: Lane, work: impl Future) -> Result<Window> {
        let before = self.source.snapshot().await?;
        self.board.tick(main);
        self.board.open();
        let (began, mut series) = (Instant::now(), Vec::new());
        tokio::select! {
            biased;
            _ = work => {}
            () = series::sample(&self.board, main, &mut series, |sample| self.progress.sample(sample)) => {}
        }
        self.board.close();
        let seconds = began.elapsed().as_secs_f64();
        let after = self.source.snapshot().await?;
        Ok(Window { seconds, server: before.until(&after), series })
    }
}

/// A connection, and what its subscriptions answered.
pub struct Opened {
    /// Which one of those opened together.
    pub index: usize,
    pub conn: Conn,
    pub subscribed: Vec<Subscribed>,
}

/// A plain subscription: events replayed, no presence.
pub fn subscribe(entity: &EntityId) -> Subscribe {
    Subscribe {
        entity: entity.clone(),
        after: None,
        events: EventPolicy::Replay,
        signals: SignalPolicy::DropOldest,
        presence: false,
    }
}

/// An op; one with a number is executed once, however often it is sent.
pub fn send(entity: &EntityId, r#type: &str, body: RawJson, n: Option<u64>) -> Call {
    let (entity, r#type) = (entity.clone(), r#type.to_owned());
    Call::Send(Send { entity, r#type, body, n, first_sent: None, if_seq: None, tag: None })
}

/// Waits until `have` reaches `wanted`, or has not changed for `quiet`.
pub async fn settle(have: impl Fn() -> u64, wanted: u64, quiet: Duration) {
    let (mut last, mut since) = (have(), Instant::now());
    while last < wanted && since.elapsed() < quiet {
        sleep(Duration::from_millis(20)).await;
        let now = have();
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
}
