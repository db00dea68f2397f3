//! A wire in memory, for tests and the simulation: what goes wrong is said from outside.
//!
//! It has no clock of its own. Messages on a way without delay arrive within `publish`; all others
//! when [`Switchboard::advance`] is called.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::{mpsc, watch};

use super::{Messages, SUBSCRIPTION_CAPACITY, Unsent, Wire, WireState};
use crate::clock::Mono;
use crate::cluster::link::frame::MAX_FRAME;

/// The handle that connects nodes and makes trouble. Clones are the same switchboard.
#[derive(Debug, Clone)]
pub struct Switchboard(Arc<Mutex<Board>>);

/// One node's connection: its [`Wire`]. Clones are the same connection.
#[derive(Debug, Clone)]
pub struct Plug {
    board: Switchboard,
    id: usize,
    state: watch::Receiver<WireState>,
}

/// What happens to messages from one plug to another. By default they arrive at once, in order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Way {
    /// Nothing arrives.
    pub is_cut: bool,
    /// Milliseconds on the way, at least and at most.
    pub delay: (u64, u64),
    /// Percentages of messages: never arrive, arrive again, arrive up to `late_by` milliseconds
    /// after their time and perhaps after their successors. A repetition is late, too.
    pub loss: u8,
    pub twice: u8,
    pub late: u8,
    pub late_by: u64,
}

#[derive(Debug)]
struct Board {
    now: Mono,
    rng: fastrand::Rng,
    plugs: Vec<State>,
    ways: HashMap<(usize, usize), Way>,
    /// When the last message in order arrives.
    last: HashMap<(usize, usize), Mono>,
    /// By arrival; those that arrive together, in the order in which they were sent.
    flying: BTreeMap<(Mono, u64), Flying>,
    sent: u64,
    dropped: u64,
}

#[derive(Debug)]
struct Flying {
    to: usize,
    subject: Arc<str>,
    message: Bytes,
}

#[derive(Debug)]
struct State {
    wire: watch::Sender<WireState>,
    is_full: bool,
    subscriptions: Vec<(String, mpsc::Sender<Bytes>)>,
}

impl Switchboard {
    /// One without plugs. The seed decides which messages meet with an accident.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Board {
            now: Mono::ZERO,
            rng: fastrand::Rng::with_seed(seed),
            plugs: Vec::new(),
            ways: HashMap::new(),
            last: HashMap::new(),
            flying: BTreeMap::new(),
            sent: 0,
            dropped: 0,
        })))
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects another node.
    pub fn plug(&self) -> Plug {
        let (wire, state) = watch::channel(WireState { is_connected: true, reconnects: 0 });
        let mut board = self.board();
        board.plugs.push(State { wire, is_full: false, subscriptions: Vec::new() });
        Plug { board: self.clone(), id: board.plugs.len() - 1, state }
    }

    /// Says what happens to messages from one plug to another, which may be the same: a node hears
    /// its own messages.
    pub fn set_way(&self, from: &Plug, to: &Plug, way: Way) {
        self.board().ways.insert((from.id, to.id), way);
    }

    /// Nothing arrives from one plug at another.
    pub fn cut(&self, from: &Plug, to: &Plug) {
        self.board().ways.entry((from.id, to.id)).or_default().is_cut = true;
    }

    /// All ways are as they were at first. What is on its way stays there.
    pub fn heal(&self) {
        self.board().ways.clear();
    }

    /// A plug loses its connection, and what is on its way to it. It can send nothing until it is
    /// connected again.
    pub fn disconnect(&self, plug: &Plug) {
        let mut board = self.board();
        board.flying.retain(|_, flying| flying.to != plug.id);
        board.plugs[plug.id].wire.send_modify(|state| state.is_connected = false);
    }

    /// A plug is connected again, with the subscriptions that it had.
    pub fn reconnect(&self, plug: &Plug) {
        self.board().plugs[plug.id].reconnect();
    }

    /// The server between the nodes ends and is back: what was on its way is gone, and all are
    /// connected again.
    pub fn restart(&self) {
        let mut board = self.board();
        board.flying.clear();
        for plug in &mut board.plugs {
            plug.reconnect();
        }
    }

    /// Whether a plug takes messages at the moment, or says that too much waits.
    pub fn set_full(&self, plug: &Plug, is_full: bool) {
        self.board().plugs[plug.id].is_full = is_full;
    }

    /// It is `now`: delivers what has arrived by then.
    pub fn advance(&self, now: Mono) {
        let mut board = self.board();
        board.now = board.now.max(now);
        board.deliver();
    }

    /// When the next message arrives.
    pub fn next_at(&self) -> Option<Mono> {
        self.board().flying.first_key_value().map(|((at, _), _)| *at)
    }

    /// Messages that were dropped because a subscription was full.
    pub fn dropped(&self) -> u64 {
        self.board().dropped
    }
}

impl State {
    fn reconnect(&mut self) {
        self.wire.send_modify(|state| {
            state.is_connected = true;
            state.reconnects += 1;
        });
    }
}

impl Board {
    fn publish(&mut self, from: usize, subject: &str, message: &Bytes) -> Result<(), Unsent> {
        if !self.plugs[from].wire.borrow().is_connected {
            return Err(Unsent::Disconnected);
        }
        if self.plugs[from].is_full {
            return Err(Unsent::Full);
        }
        let subject: Arc<str> = subject.into();
        for to in 0..self.plugs.len() {
            self.send(from, to, &subject, message);
        }
        self.deliver();
        Ok(())
    }

    fn send(&mut self, from: usize, to: usize, subject: &Arc<str>, message: &Bytes) {
        let way = self.ways.get(&(from, to)).copied().unwrap_or_default();
        let is_connected = self.plugs[to].wire.borrow().is_connected;
        if way.is_cut || !is_connected || self.happens(way.loss) {
            return;
        }
        let copies = 1 + u64::from(self.happens(way.twice));
        for copy in 0..copies {
            let mut at = self.now.after(self.rng.u64(way.delay.0..=way.delay.1.max(way.delay.0)));
            if copy > 0 || self.happens(way.late) {
                at = at.after(self.rng.u64(0..=way.late_by));
            } else {
                let last = self.last.entry((from, to)).or_insert(Mono::ZERO);
                at = at.max(*last);
                *last = at;
            }
            self.sent += 1;
            let flying = Flying { to, subject: subject.clone(), message: message.clone() };
            self.flying.insert((at, self.sent), flying);
        }
    }

    /// With this percentage.
    fn happens(&mut self, percent: u8) -> bool {
        percent > 0 && self.rng.u8(0..100) < percent
    }

    fn deliver(&mut self) {
        while let Some(first) = self.flying.first_entry()
            && first.key().0 <= self.now
        {
            let Flying { to, subject, message } = first.remove();
            let mut dropped = 0;
            self.plugs[to].subscriptions.retain(|(of, messages)| {
                if **of == *subject
                    && let Err(error) = messages.try_send(message.clone())
                {
                    dropped += 1;
                    return matches!(error, mpsc::error::TrySendError::Full(_));
                }
                true
            });
            self.dropped += dropped;
        }
    }
}

#[async_trait]
impl Wire for Plug {
    fn publish(&self, subject: &str, message: Bytes) -> Result<(), Unsent> {
        if message.len() > MAX_FRAME {
            return Err(Unsent::Long(message.len()));
        }
        self.board.board().publish(self.id, subject, &message)
    }

    async fn subscribe(&self, subject: &str) -> Result<Messages, Unsent> {
        let (sender, mut receiver) = mpsc::channel(SUBSCRIPTION_CAPACITY);
        let mut board = self.board.board();
        let state = &mut board.plugs[self.id];
        if !state.wire.borrow().is_connected {
            return Err(Unsent::Disconnected);
        }
        state.subscriptions.push((subject.to_owned(), sender));
        Ok(futures_util::stream::poll_fn(move |context| receiver.poll_recv(context)).boxed())
    }

    fn state(&self) -> watch::Receiver<WireState> {
        self.state.clone()
    }
}
