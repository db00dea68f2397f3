//! The burst: every session receives so many bytes, as signals to its room, and each room's speaker
//! waits for its listeners, so that nothing has to be dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use greenroom_loadtest::client::wire::encode;
use greenroom_loadtest::client::{Failure, socket};
use greenroom_loadtest::glimpse::{Glimpse, Seen};
use greenroom_loadtest::peer::Payload;
use greenroom_loadtest::peer::payload::What;
use greenroom_loadtest::run::{Opened, Run};
use greenroom_protocol::EntityId;
use greenroom_protocol::codec::ServerMessage;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::interval;

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
    /// Bytes of signals that each session has received, by its number; of the others nothing.
    bytes: Vec<Option<AtomicU64>>,
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
    pub fn new(guests: &[Opened], rooms: usize, speech: Speech) -> Arc<Self> {
        let mut members = vec![0; rooms];
        let sessions = guests.iter().map(|guest| guest.index + 1).max().unwrap_or(0);
        let mut bytes: Vec<_> = (0..sessions).map(|_| None).collect();
        for guest in guests {
            members[guest.index % rooms] += 1;
            bytes[guest.index] = Some(AtomicU64::new(0));
        }
        let room = |members| Room {
            members,
            heard: (0..speech.signals).map(|_| AtomicU32::new(0)).collect(),
            complete: Notify::new(),
        };
        let rooms = members.into_iter().map(room).collect();
        Arc::new(Self { rooms, bytes, deliveries: AtomicU64::new(0) })
    }

    /// Bytes that each session has received.
    fn bytes(&self) -> impl Iterator<Item = u64> {
        self.bytes.iter().flatten().map(|bytes| bytes.load(Relaxed))
    }

    /// Session `index` has received its signal number `nth`.
    pub fn heard(&self, index: usize, nth: usize, bytes: usize) {
        if let Some(received) = &self.bytes[index] {
            received.fetch_add(bytes as u64, Relaxed);
        }
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

/// Lets sessions listen until the set is dropped. What nobody has asked for, and connections that
/// end, are errors on the board.
pub fn listen(run: &Arc<Run>, guests: Vec<Opened>, hall: &Arc<Hall>) -> JoinSet<()> {
    let mut listening = JoinSet::new();
    for Opened { index, mut conn, .. } in guests {
        let (run, hall) = (run.clone(), hall.clone());
        listening.spawn(async move {
            let (mut signals, mut glimpse) = (0, Glimpse::new(conn.codec()));
            loop {
                let hear = |payload: &[u8]| match glimpse.look(payload) {
                    Ok(Seen::Signal { .. }) => {
                        hall.heard(index, signals, payload.len());
                        signals += 1;
                    }
                    Ok(seen) => unasked(&run, &seen),
                    Err(_) => run.board.error("not_understood"),
                };
                if let Err(failure) = conn.read(hear).await {
                    return run.board.error(&failure.code());
                }
            }
        });
    }
    listening
}

/// Nobody posts here; presence was not asked for, and the answers that count have come before this.
fn unasked(run: &Run, seen: &Seen) {
    match seen {
        Seen::Event { .. } => run.board.error("event"),
        Seen::Other(ServerMessage::Notification { method, .. }) if method != "presence" => {
            run.board.error(method);
        }
        Seen::Other(ServerMessage::Error { error, .. }) => {
            run.board.error(error.data.code.as_str());
        }
        _ => {}
    }
}

/// Lets all speakers speak at the same time, until everybody has heard everything or nothing comes
/// any more.
pub async fn burst(
    run: &Run,
    speakers: &[Arc<TcpStream>],
    rooms: &[EntityId],
    hall: &Hall,
    speech: Speech,
) -> Burst {
    run.progress.say("a burst of signals");
    let began = Instant::now();
    let ahead = (AHEAD.min(ALL_AHEAD / hall.bytes().count().max(1)) / speech.bytes).max(1);
    let speaking =
        speakers.iter().zip(rooms).zip(&hall.rooms).map(|((stream, entity), room)| async move {
            let (_, call) = Payload::new(What::Signal, vec![entity.clone()], speech.bytes)
                .next(run.board.now_us());
            let mut signal = Vec::new();
            encode(run.target.codec, None, &call, &mut signal);
            for nth in 0..speech.signals {
                if let Some(before) = nth.checked_sub(ahead) {
                    room.all_have(before).await;
                }
                socket::send(stream, &mut signal.clone()).await?;
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
    Burst {
        took: began.elapsed(),
        deliveries: hall.deliveries.load(Relaxed),
        least_bytes: hall.bytes().min().unwrap_or(0),
        short: hall.bytes().filter(|bytes| *bytes < wanted).count() as u64,
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
