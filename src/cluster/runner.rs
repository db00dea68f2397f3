//! The thread of a node: takes what arrives, tells the node, and carries out what it says.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use greenroom_actors::clock;
use greenroom_actors::cluster::link::wire::{Messages, Subjects, Unsent, Wire, WireState};
use greenroom_actors::cluster::map::NodeId;
use greenroom_actors::cluster::membership::Ended;
use greenroom_actors::cluster::registry::Registry;
use greenroom_actors::journal::{Journal, Standing};
use greenroom_actors::messages::{Directory, RelayHandle, ToExchange};
use greenroom_actors::node::Node;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::controls::Controls;
use super::deliveries::Deliveries;
use super::questions::Question;
use super::report::Report;
use super::view::View;
use crate::config::ClusterConfig;
use crate::failure::Failure;
use crate::nats::{NatsMetrics, NatsWire};

/// How often time passes for the node.
const TICK: Duration = Duration::from_millis(10);
/// How often relays that are behind are tried again.
const RETRY: Duration = Duration::from_millis(1);
/// Messages taken at a time, before frames are sent.
const BATCH: usize = 256;
/// Reports of tasks that wait: polls, an attempt to join, a change, hand-offs.
const REPORTS: usize = 64;
/// How long to wait at the start for NATS, and for the database.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How long to wait before a subscription is tried again.
const SUBSCRIBE_AGAIN: Duration = Duration::from_millis(250);

/// What surrounds the node.
pub struct Outside {
    pub id: NodeId,
    pub config: ClusterConfig,
    /// Milliseconds after which a poll is given up.
    pub poll_timeout: u64,
    pub queue: mpsc::Receiver<ToExchange>,
    pub standing: watch::Receiver<Standing>,
    pub questions: mpsc::Receiver<Question>,
    pub view: watch::Sender<View>,
    pub journal: Journal,
    pub directory: Directory,
    pub relays: Vec<RelayHandle>,
    pub registry: Arc<dyn Registry>,
}

/// See the module's head.
pub struct Runner {
    pub(super) node: Node,
    pub(super) id: NodeId,
    pub(super) wire: NatsWire,
    pub(super) subjects: Subjects,
    frames: Messages,
    beats: Messages,
    wire_state: watch::Receiver<WireState>,
    nats: NatsMetrics,
    reconnects: u64,
    queue: mpsc::Receiver<ToExchange>,
    standing: watch::Receiver<Standing>,
    questions: mpsc::Receiver<Question>,
    view: watch::Sender<View>,
    pub(super) controls: Controls,
    pub(super) reports: mpsc::Sender<Report>,
    reported: mpsc::Receiver<Report>,
    pub(super) journal: Journal,
    pub(super) directory: Directory,
    pub(super) deliveries: Deliveries,
    pub(super) registry: Arc<dyn Registry>,
    pub(super) poll_timeout: Duration,
}

impl Runner {
    /// Starts a node on a thread of its own, and waits until it is connected to NATS.
    ///
    /// # Errors
    /// If it cannot be connected, or the thread not be started.
    pub async fn start(node: Node, outside: Outside) -> Result<(), Failure> {
        let failed =
            |error: std::io::Error| Failure::Runtime(format!("cannot start the node: {error}"));
        // The client of NATS runs on the other thread.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("nats")
            .enable_all()
            .build()
            .map_err(failed)?;
        let (ready, connected) = oneshot::channel();
        std::thread::Builder::new()
            .name("node".into())
            .spawn(move || {
                runtime.block_on(async {
                    match Self::connect(node, outside).await {
                        Ok(runner) => {
                            // Whoever waits has given up if the process is stopping.
                            let _ = ready.send(Ok(()));
                            runner.run().await;
                        }
                        Err(failure) => {
                            let _ = ready.send(Err(failure));
                        }
                    }
                });
                // What still hangs in the database must not keep the process.
                runtime.shutdown_background();
            })
            .map_err(failed)?;
        connected.await.unwrap_or_else(|_| Err(Failure::Runtime("the node has crashed".into())))
    }

    async fn connect(node: Node, outside: Outside) -> Result<Self, Failure> {
        let Outside {
            id,
            config,
            poll_timeout,
            queue,
            standing,
            questions,
            view,
            journal,
            directory,
            relays,
            registry,
        } = outside;
        let name = format!("greenroom {id} {}", config.node_name());
        let wire = NatsWire::connect(&config.nats, &name, PATIENCE)
            .await
            .map_err(|error| Failure::Runtime(error.to_string()))?;
        let subjects =
            Subjects::new(&config.name).map_err(|error| Failure::Config(error.to_string()))?;
        let frames = subscribed(&wire, &subjects.node(id.0)).await;
        let beats = subscribed(&wire, &subjects.all()).await;
        let (reports, reported) = mpsc::channel(REPORTS);
        Ok(Self {
            node,
            id,
            wire_state: wire.state(),
            nats: NatsMetrics::new(),
            reconnects: 0,
            wire,
            subjects,
            frames,
            beats,
            queue,
            standing,
            questions,
            view,
            controls: Controls::start(journal.clone(), reports.clone()),
            reports,
            reported,
            journal,
            directory,
            deliveries: Deliveries::new(relays),
            registry,
            poll_timeout: Duration::from_millis(poll_timeout),
        })
    }

    async fn run(mut self) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let behind = self.deliveries.is_behind();
            tokio::select! {
                _ = ticks.tick() => self.tick(),
                Some(message) = self.beats.next() => self.node.heard(&message, clock::mono()),
                Some(message) = self.frames.next(), if !behind => self.frame(message),
                _ = self.queue.recv_many(&mut batch, BATCH) => self.messages(&mut batch),
                Some(report) = self.reported.recv() => self.report(report),
                Ok(()) = self.standing.changed() => self.look_at_standing(),
                Ok(()) = self.wire_state.changed() => self.look_at_wire(),
                Some(question) = self.questions.recv() => self.answer(question),
                () = tokio::time::sleep(RETRY), if behind => {}
            }
            self.deliveries.retry();
            if let Some(why) = self.carry_out() {
                tracing::info!(%why, "the node is not in the cluster any more");
                return self.show(Some(why));
            }
        }
    }

    fn tick(&mut self) {
        self.node.tick(clock::mono());
        self.nats.show(*self.wire_state.borrow(), &self.wire.counters());
        self.show(None);
    }

    fn show(&self, ended: Option<Ended>) {
        let view = View { ended, ..View::of(&self.node, clock::mono()) };
        self.view.send_if_modified(|shown| {
            let changed = *shown != view;
            if changed {
                *shown = view;
            }
            changed
        });
    }

    /// Takes a frame, and those that have arrived with it.
    fn frame(&mut self, first: bytes::Bytes) {
        let now = clock::mono();
        self.node.receive(first, now);
        for _ in 1..BATCH {
            let Some(Some(message)) = self.frames.next().now_or_never() else { return };
            self.node.receive(message, now);
        }
    }

    fn messages(&mut self, batch: &mut Vec<ToExchange>) {
        let now = clock::mono();
        for message in batch.drain(..) {
            self.node.take(message, now);
        }
        self.node.flush_links(now);
    }

    fn report(&mut self, report: Report) {
        // A change that is decided is also a transaction that has succeeded.
        self.look_at_standing();
        let now = clock::mono();
        match report {
            Report::Read(poll, read) => self.node.viewed(poll, read, now),
            Report::Joined(joined) => self.node.joined(joined, now),
            Report::Decided(change, outcome) => self.node.decided(change, outcome, now),
            Report::Flushed(hand_off) => self.node.flushed(hand_off, now),
            Report::LivesEnded => self.node.lives_ended(now),
        }
    }

    fn look_at_standing(&mut self) {
        let Standing { renewed, fenced } = *self.standing.borrow_and_update();
        let now = clock::mono();
        if let Some(renewal) = renewed {
            self.node.committed(renewal.term, renewal.sent, now);
        }
        if let Some(term) = fenced {
            self.node.fenced(term, now);
        }
    }

    fn look_at_wire(&mut self) {
        let WireState { is_connected, reconnects } = *self.wire_state.borrow_and_update();
        if is_connected && reconnects != self.reconnects {
            self.reconnects = reconnects;
            self.node.reconnected(clock::mono());
        }
    }
}

/// A subscription, tried until there is one.
async fn subscribed(wire: &NatsWire, subject: &str) -> Messages {
    loop {
        match wire.subscribe(subject).await {
            Ok(messages) => return messages,
            Err(error @ (Unsent::Disconnected | Unsent::Full | Unsent::Long(_))) => {
                tracing::warn!(%error, "cannot subscribe yet");
            }
        }
        tokio::time::sleep(SUBSCRIBE_AGAIN).await;
    }
}
