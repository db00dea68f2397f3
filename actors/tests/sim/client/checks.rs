//! Checks of answers, events and whole runs.

use std::collections::BTreeMap;

use greenroom_protocol::params;
use greenroom_protocol::results::{Event, HistoryPage};
use greenroom_protocol::{EntityId, RawJson, Seq};

use super::{Client, Op, Outcome};
use crate::log::{Log, Logs};
use crate::truth::Truth;

pub(super) fn parse<'a, T: serde::Deserialize<'a>>(json: &'a RawJson) -> Result<T, String> {
    json.parse().map_err(|error| format!("{error}: {}", json.as_str()))
}

/// Checks that `events` are those on disk after `after`, without anything that was deleted up to
/// `floor`.
pub(super) fn check_run(
    log: &Log,
    after: Seq,
    events: &[Event],
    floor: Seq,
    what: &str,
) -> Result<(), String> {
    for (event, n) in events.iter().zip(1..) {
        let seq = after + n;
        if event.seq != seq {
            return Err(format!("{what}: event {} where {seq} was due", event.seq));
        }
        let written =
            log.event(seq).ok_or_else(|| format!("{what}: event {seq} is not on disk"))?;
        let deleted = log.deleted_by(written);
        if !event.deleted && deleted.is_some_and(|by| by <= floor) {
            return Err(format!(
                "{what}: event {seq} shows what is deleted by event {deleted:?}, which was seen before at {floor}"
            ));
        }
        if event.deleted && (deleted.is_none() || event.body != RawJson::NULL) {
            return Err(format!("{what}: event {seq} is {event:?}, and nobody has deleted it"));
        }
        if (!event.deleted && written.body != event.body)
            || *written.from != *event.from
            || written.at != event.at
        {
            return Err(format!("{what}: event {seq} is {event:?}, and {written:?} on disk"));
        }
    }
    Ok(())
}

pub(super) fn check_state(log: &Log, seq: Seq, state: &RawJson, what: &str) -> Result<(), String> {
    match log.state(seq) {
        None => Err(format!("{what}: a state at {seq}, and {} events are on disk", log.last_seq())),
        Some(written) if written != state => {
            Err(format!("{what}: the state at {seq} is {state:?}, and should be {written:?}"))
        }
        Some(_) => Ok(()),
    }
}

pub(super) fn check_history(
    params: &params::History,
    page: &HistoryPage,
    floor: Seq,
    logs: &Logs,
) -> Result<(), String> {
    let log = &logs.0[&params.entity];
    let Some(first) = page.events.first() else { return Ok(()) };
    check_run(log, first.seq - 1, &page.events, floor, "history")?;
    let last = first.seq - 1 + page.events.len() as u64;
    let fits = params.before.is_none_or(|before| last < before)
        && params.after.is_none_or(|after| first.seq > after);
    if !fits || page.events.len() > params.limit.unwrap_or(100) as usize {
        return Err(format!("{params:?} was answered with {} to {last}", first.seq));
    }
    Ok(())
}

/// Checks that ops are executed exactly once and in real-time order.
pub fn check_ops(clients: &[Client], truth: &Truth) -> Result<(), String> {
    let logs = &truth.logs;
    let mut places: BTreeMap<(&str, u64), Vec<(&EntityId, Seq)>> = BTreeMap::new();
    for (entity, log) in &logs.0 {
        for event in &log.events {
            if let (Some(client), Some(n)) = (&event.client, event.n) {
                places.entry((client, n)).or_default().push((entity, event.seq));
            }
        }
    }
    if let Some((op, twice)) = places.iter().find(|(_, places)| places.len() > 1) {
        return Err(format!("op {op:?} was executed more than once: {twice:?}"));
    }
    let mut acked: Vec<(&Op, Seq)> = Vec::new();
    for client in clients {
        for op in &client.ops {
            let place = places.get(&(&*op.ulid, op.n)).and_then(|places| places.first());
            match (op.answered, place) {
                (None, _) => {
                    return Err(format!("op {} of {} was never answered", op.n, client.name));
                }
                (Some((_, Outcome::Accepted(seq))), Some((entity, at)))
                    if seq == *at && op.entity == **entity =>
                {
                    acked.push((op, seq));
                }
                (Some((_, Outcome::Expired)), _) | (Some((_, Outcome::Refused)), None) => {}
                // An earlier, abandoned attempt may have arrived after the one that was refused.
                (Some((_, Outcome::Refused)), Some(_)) if !op.is_nowhere() => {}
                (answer, place) => {
                    return Err(format!(
                        "op {} of {} was answered {answer:?} and is at {place:?}",
                        op.n, client.name
                    ));
                }
            }
        }
    }
    in_order(clients)?;
    for (earlier, seq) in &acked {
        let after = acked.iter().filter(|(later, _)| {
            later.entity == earlier.entity
                && earlier.answered.is_some_and(|(step, _)| step < later.invoked)
        });
        if let Some((later, other)) = after.into_iter().find(|(_, other)| other < seq) {
            return Err(format!(
                "op {} at {other} was sent after the answer to op {} at {seq}",
                later.n, earlier.n
            ));
        }
    }
    Ok(())
}

/// Checks that what a client sends an entity on one connection, and sends once, is executed in that
/// order.
fn in_order(clients: &[Client]) -> Result<(), String> {
    for client in clients {
        let mut latest: BTreeMap<(&EntityId, u64), (Seq, u64)> = BTreeMap::new();
        let mut once: Vec<&Op> = client.ops.iter().filter(|op| op.attempts == 1).collect();
        once.sort_by_key(|op| op.sent);
        for op in once {
            let Some((_, Outcome::Accepted(seq))) = op.answered else { continue };
            let (before, n) =
                latest.insert((&op.entity, op.sent.0), (seq, op.n)).unwrap_or_default();
            if before > seq {
                return Err(format!(
                    "op {} of {} is at {seq} of `{}`, and op {n}, which was sent before it, at {before}",
                    op.n, client.name, op.entity
                ));
            }
        }
    }
    Ok(())
}
