//! The many sessions: how they come in, enter, and listen.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::{StreamExt, stream};
use greenroom_protocol::codec::ServerMessage;
use greenroom_protocol::params::{Connect, Presence, PresenceAction};
use greenroom_protocol::results::PresenceList;
use greenroom_protocol::{Call, EntityId};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::interval;

use super::burst::Hall;
use crate::glimpse::{Seen, look};
use crate::raw::guest::{Guest, frame};
use crate::run::{Run, subscribe};
use crate::stats::Lane;

/// Sessions that have come in, each with its number; session `i` is in room `i` modulo the number
/// of rooms.
pub type Guests = Vec<(usize, Guest)>;

/// Opens `hellos.len()` sessions, `at_once` at a time. Failures are counted on the board by their
/// names.
pub async fn open(
    run: &Arc<Run>,
    hellos: Vec<Vec<u8>>,
    rate: Option<f64>,
    at_once: usize,
) -> Guests {
    let limit = Arc::new(Semaphore::new(at_once.max(1)));
    let mut opening: JoinSet<Option<(usize, Guest)>> = JoinSet::new();
    let mut ticks = rate.map(|rate| interval(Duration::from_secs_f64(1.0 / rate)));
    run.progress.say(format!("opening {} connections", hellos.len()));
    for (index, hello) in hellos.into_iter().enumerate() {
        if let Some(ticks) = &mut ticks {
            ticks.tick().await;
        }
        let permit = limit.clone().acquire_owned().await.expect("nobody closes the semaphore");
        let run = run.clone();
        opening.spawn(async move {
            let _permit = permit;
            let began = run.board.now_us();
            let guest = counted(&run, Guest::open(&run.target, index, &hello).await)?;
            run.board.record(Lane::Connect, index, began);
            Some((index, guest))
        });
    }
    opening.join_all().await.into_iter().flatten().collect()
}

/// What each of `count` sessions says first: who it is, with a token of its own where there are
/// any, and which room it follows. Tokens are signed here, so that nobody waits for that later.
///
/// # Errors
/// Where a token cannot be signed.
pub fn hellos(run: &Run, name: &str, count: usize, rooms: &[EntityId]) -> Result<Vec<Vec<u8>>> {
    let version = Some(concat!("greenroom-loadtest/", env!("CARGO_PKG_VERSION")).to_owned());
    let hello = |index: usize| {
        let token = run.target.tokens.token(&format!("{name}-{index}"))?;
        let subscriptions =
            rooms.get(index % rooms.len().max(1)).map(subscribe).into_iter().collect();
        let call = Call::Connect(Connect {
            token,
            subscriptions,
            version: version.clone(),
            ..Connect::default()
        });
        Ok(frame(run.target.codec, &call, true))
    };
    (0..count).map(hello).collect()
}

/// Lets every session enter its room's presence, `at_once` at a time. Returns those that are in,
/// and how long it took.
pub async fn enter(
    run: &Run,
    guests: Guests,
    rooms: &[EntityId],
    at_once: usize,
) -> (Guests, Duration) {
    run.progress.say(format!("{} sessions enter", guests.len()));
    let frames: Vec<_> = rooms
        .iter()
        .map(|room| {
            Call::Presence(Presence {
                entity: room.clone(),
                action: PresenceAction::Enter,
                meta: None,
            })
        })
        .map(|call| frame(run.target.codec, &call, true))
        .collect();
    let began = Instant::now();
    let entering = guests.into_iter().map(|(index, mut guest)| {
        let request = &frames[index % frames.len()];
        async move {
            let began = run.board.now_us();
            counted(run, guest.ask::<PresenceList>(request).await)?;
            run.board.record(Lane::Presence, index, began);
            Some((index, guest))
        }
    });
    let entered = stream::iter(entering)
        .buffer_unordered(at_once.max(1))
        .filter_map(async |entered| entered)
        .collect()
        .await;
    (entered, began.elapsed())
}

/// Lets sessions listen until the set is dropped. What nobody has asked for, and connections that
/// end, are errors on the board.
pub fn listen(run: &Arc<Run>, guests: Guests, hall: &Arc<Hall>) -> JoinSet<()> {
    let mut listening = JoinSet::new();
    for (index, guest) in guests {
        let (run, hall) = (run.clone(), hall.clone());
        listening.spawn(async move {
            let mut signals = 0;
            let failure =
                guest.listen(|payload| hear(&run, index, payload, &hall, &mut signals)).await;
            run.board.error(&failure.code());
        });
    }
    listening
}

fn hear(run: &Run, index: usize, payload: &[u8], hall: &Hall, signals: &mut usize) {
    match look(run.target.codec, payload) {
        Ok(Seen::Signal { .. }) => {
            hall.heard(index, *signals, payload.len());
            *signals += 1;
        }
        // Nobody posts here; presence was not asked for, and the answers that count have come
        // before this.
        Ok(Seen::Event { .. }) => run.board.error("event"),
        Ok(Seen::Other(ServerMessage::Notification { method, .. })) if method != "presence" => {
            run.board.error(&method);
        }
        Ok(Seen::Other(ServerMessage::Error { error, .. })) => {
            run.board.error(error.data.code.as_str());
        }
        Ok(Seen::Other(_)) => {}
        Err(_) => run.board.error("not_understood"),
    }
}

/// Counts a failure on the board.
fn counted<T>(run: &Run, outcome: Result<T, crate::client::Failure>) -> Option<T> {
    outcome.inspect_err(|failure| run.board.error(&failure.code())).ok()
}
