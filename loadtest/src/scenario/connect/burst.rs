//! The burst: every session receives so many bytes, as signals to its room, and each room's speaker
//! waits for its listeners, so that nothing has to be dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use greenroom_protocol::EntityId;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::interval;

use super::crowd::Guests;
use crate::client::Failure;
use crate::peer::Payload;
use crate::peer::payload::What;
use crate::raw::guest::{Guest, frame, send};
use crate::run::Run;

/// After so long without any delivery, what is missing is missing.
const PATIENCE: Duration =
    if cfg!(test) { Duration::from_millis(200) } else { Duration::from_secs(10) };
/// A speaker is ahead of its slowest listener by at most so many bytes, a quarter of what may wait
/// for one client by default...
const AHEAD: usize = 64 * 1024;
/// ... and all listeners together lag by at most so many, half of what may wait for all.
const ALL_AHEAD: usize = 256 * 1024 * 1024;

/// What the sessions are to hear, and have heard.
pub struct Hall {
    rooms: Vec<Room>,
    /// Bytes of signals that each session has received.
    bytes: Vec<AtomicU64>,
    /// Signals that all of them have received.
    deliveries: AtomicU64,
}

struct Room {
    members: u32,
    /// How many members have each of the signals. A member gets them in order, so its third is the
    /// third that was sent.
    heard: Vec<AtomicU32>,
    complete: Notify,
}

/// How much is said.
#[derive(Debug, Clone, Copy)]
pub struct Speech {
    /// Signals to each room.
    pub signals: usize,
    /// Size of a signal's body in bytes.
    pub bytes: usize,
}

/// What came of a burst.
#[derive(Debug, Clone, Copy)]
pub struct Burst {
    /// How long it took until the last session had everything, or nothing came any more.
    pub took: Duration,
    /// Signals that were received.
    pub deliveries: u64,
    /// Bytes that the session with the fewest has received.
    pub least_bytes: u64,
    /// Sessions that have not received as many as they were meant to.
    pub short: u64,
}

impl Speech {
    /// Signals of `bytes` each until every listener has `total`.
    pub fn of(total: u64, bytes: usize) -> Self {
        let bytes = bytes.max(64);
        Self { signals: usize::try_from(total.div_ceil(bytes as u64)).unwrap_or(usize::MAX), bytes }
    }
}

impl Hall {
    /// A hall with these sessions in `rooms` rooms, and nothing said yet.
    pub fn new(guests: &Guests, rooms: usize, speech: Speech) -> Arc<Self> {
        let mut members = vec![0; rooms];
        guests.iter().for_each(|(index, _)| members[index % rooms] += 1);
        let room = |members| Room {
            members,
            heard: (0..speech.signals).map(|_| AtomicU32::new(0)).collect(),
            complete: Notify::new(),
        };
        let sessions = guests.iter().map(|(index, _)| index + 1).max().unwrap_or(0);
        let rooms = members.into_iter().map(room).collect();
        Arc::new(Self {
            rooms,
            bytes: (0..sessions).map(|_| AtomicU64::new(0)).collect(),
            deliveries: AtomicU64::new(0),
        })
    }

    /// Session `index` has received its signal number `nth`.
    pub fn heard(&self, index: usize, nth: usize, bytes: usize) {
        self.bytes[index].fetch_add(bytes as u64, Relaxed);
        self.deliveries.fetch_add(1, Relaxed);
        let room = &self.rooms[index % self.rooms.len()];
        if let Some(heard) = room.heard.get(nth)
            && heard.fetch_add(1, Relaxed) + 1 == room.members
        {
            room.complete.notify_one();
        }
    }
}

impl Room {
    /// Waits until every member has signal number `nth`. Only one may wait at a time.
    async fn all_have(&self, nth: usize) {
        while self.heard[nth].load(Relaxed) < self.members {
            self.complete.notified().await;
        }
    }
}

/// Opens one speaker for each room. They follow nothing; whoever sends a signal does not receive it
/// anyway.
///
/// # Errors
/// The first that is not let in.
pub async fn speakers(run: &Run, count: usize) -> Result<Vec<Guest>> {
    let mut speakers = Vec::with_capacity(count);
    for hello in super::crowd::hellos(run, "speaker", count, &[])? {
        speakers
            .push(Guest::open(&run.target, 0, &hello).await.context("a speaker is not let in")?);
    }
    Ok(speakers)
}

/// Lets all speakers speak at the same time, until everybody has heard everything or nothing comes
/// any more.
pub async fn burst(
    run: &Run,
    speakers: &[Arc<TcpStream>],
    rooms: &[EntityId],
    guests: &[usize],
    hall: &Hall,
    speech: Speech,
) -> Burst {
    run.progress.say("a burst of signals");
    let began = Instant::now();
    let ahead = (AHEAD.min(ALL_AHEAD / guests.len().max(1)) / speech.bytes).max(1);
    let speaking =
        speakers.iter().zip(rooms).zip(&hall.rooms).map(|((stream, entity), room)| async move {
            let (_, call) = Payload::new(What::Signal, vec![entity.clone()], speech.bytes)
                .next(run.board.now_us());
            let signal = frame(run.target.codec, &call, false);
            for nth in 0..speech.signals {
                if let Some(before) = nth.checked_sub(ahead) {
                    room.all_have(before).await;
                }
                send(stream, &signal).await?;
            }
            if let Some(last) = speech.signals.checked_sub(1) {
                room.all_have(last).await;
            }
            Ok::<_, Failure>(())
        });
    tokio::select! {
        said = try_join_all(speaking) => {
            if let Err(failure) = said {
                run.board.error(&failure.code());
            }
        }
        () = silence(hall) => {}
    }
    let wanted = speech.signals as u64 * speech.bytes as u64;
    let bytes = || guests.iter().map(|index| hall.bytes[*index].load(Relaxed));
    Burst {
        took: began.elapsed(),
        deliveries: hall.deliveries.load(Relaxed),
        least_bytes: bytes().min().unwrap_or(0),
        short: bytes().filter(|bytes| *bytes < wanted).count() as u64,
    }
}

/// Waits until nothing has come for a while.
async fn silence(hall: &Hall) {
    let mut look = interval(PATIENCE);
    look.tick().await;
    let mut last = u64::MAX;
    loop {
        look.tick().await;
        let now = hall.deliveries.load(Relaxed);
        if std::mem::replace(&mut last, now) == now {
            return;
        }
    }
}
