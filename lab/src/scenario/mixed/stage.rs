//! What all sessions share.

use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, RwLock};

use anyhow::Result;
use greenroom_protocol::EntityId;

use super::cast::{Role, cast, pace};
use super::load::Load;
use super::seat::Seat;
use crate::scenario::presence::mirror::{Mirror, People};
use greenroom_loadtest::peer::payload::What;
use greenroom_loadtest::peer::{Pace, Payload};
use greenroom_loadtest::run::Run;

/// Size of a typing signal's body.
const SIGNAL_BYTES: usize = 40;

/// See the module's head.
pub struct Stage {
    /// The run.
    pub run: Run,
    /// How much of everything.
    pub load: Load,
    /// The rooms, and the hot one behind them.
    pub rooms: Vec<EntityId>,
    /// Who does what.
    pub cast: Vec<Role>,
    /// How many of them talk.
    talkers: usize,
    /// Who is who.
    pub people: RwLock<People>,
    /// What each session believes of who is in its room.
    pub mirrors: Vec<Mutex<Mirror>>,
    /// What each session has received of its room, and of the hot one.
    pub seats: Vec<[Mutex<Seat>; 2]>,
    /// Counters.
    pub counts: Counts,
}

/// What happened so far.
#[derive(Debug, Default)]
pub struct Counts {
    /// Sessions that are on their way out or in.
    pub away: AtomicUsize,
    /// Requests without an answer.
    pub unanswered: AtomicUsize,
    /// Sessions whose connection failed.
    pub failed: AtomicU64,
    /// Signals sent.
    pub signals: AtomicU64,
    /// Posts sent, the hot room's not among them.
    pub posts: AtomicU64,
    /// Of those, how many each room acknowledged.
    pub acked: Vec<AtomicU64>,
}

/// What all are doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// They come in.
    Gather,
    /// They talk, from this moment on.
    Talk {
        /// In microseconds of the board.
        from_us: u64,
    },
    /// They listen.
    Listen,
}

/// One kind of message that a session sends.
pub struct Stream {
    /// The messages.
    pub payload: Payload,
    /// When.
    pub pace: Pace,
    /// What they are.
    pub what: What,
}

impl Stage {
    /// A stage on which nobody is yet: all are on their way.
    pub fn new(run: Run, load: &Load) -> Result<Arc<Self>> {
        let cast = cast(load)?;
        let talkers = cast.iter().filter(|role| role.talks.is_some()).count();
        let mut rooms =
            (0..load.rooms).map(|i| run.entity(&load.kind, i)).collect::<Result<Vec<_>>>()?;
        rooms.push(run.entity(&load.kind, "hot")?);
        let acked = (0..load.rooms).map(|_| AtomicU64::new(0)).collect();
        let counts = Counts { away: AtomicUsize::new(cast.len()), acked, ..Counts::default() };
        let mirrors = cast.iter().map(|_| Mutex::default()).collect();
        let seats = cast.iter().map(|_| <[Mutex<Seat>; 2]>::default()).collect();
        Ok(Arc::new(Self {
            run,
            load: load.clone(),
            rooms,
            cast,
            talkers,
            people: RwLock::default(),
            mirrors,
            seats,
            counts,
        }))
    }

    /// The hot room.
    pub fn hot(&self) -> &EntityId {
        self.rooms.last().expect("it is always there")
    }

    /// What the `turn`th of those who talk, in `room`, sends from `from_us` on.
    pub fn streams(&self, turn: usize, room: usize, from_us: u64) -> Vec<Stream> {
        let kinds = [
            (What::Signal, self.load.signals, SIGNAL_BYTES),
            (What::Post, self.load.posts, self.load.bytes),
        ];
        let stream = |(what, per_second, bytes)| {
            let pace = pace(turn, self.talkers, from_us, per_second)?;
            Some(Stream {
                payload: Payload::new(what, vec![self.rooms[room].clone()], bytes),
                pace,
                what,
            })
        };
        kinds.into_iter().filter_map(stream).collect()
    }

    /// The rooms that a session follows, with its seat there: its own, and the hot one if it does.
    pub fn follows(&self, session: usize) -> impl Iterator<Item = (usize, &Mutex<Seat>)> {
        let Role { room, hot, .. } = self.cast[session];
        let [own, other] = &self.seats[session];
        std::iter::once((room, own)).chain(hot.then_some((self.rooms.len() - 1, other)))
    }
}
