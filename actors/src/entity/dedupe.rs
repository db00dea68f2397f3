//! Exactly once: the outcomes of recent ops, by who sent them.
//!
//! A client numbers its ops. For each `(user, client)` the last `max_ops` outcomes are kept; a number at or below the
//! highest forgotten one is expired: whether it was executed is no longer known, so it is not executed again.
//! At most `max_clients` clients are kept. A client id is a ULID and so tells when it was made; when a client is
//! forgotten, the time of its last op becomes the horizon, or that of its id where its clock was ahead of ours; ids made at or
//! before the horizon that are not known are expired as a whole: they may be the forgotten ones. Newer ids cannot be, and neither
//! can ops that were first sent later, by their client's word: who lies about that harms nobody else.
//! Everything here follows from the journal, and is packed into snapshots.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use foldhash::fast::RandomState;
use greenroom_protocol::{RawJson, Seq};
use serde::{Deserialize, Serialize};

use crate::clock::Millis;
use crate::record::EventRecord;

#[cfg(test)]
mod tests;

/// What is known of a numbered op.
#[derive(Debug, Clone, PartialEq)]
pub enum Known {
    /// It was not executed.
    New,
    /// It was, with this outcome.
    Done(Outcome),
    /// It is too long ago to know.
    Expired,
}

/// The outcome of an accepted op.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The client's number.
    pub n: u64,
    /// The event's seq.
    pub seq: Seq,
    /// The event's time.
    pub at: Millis,
    /// What the behaviour returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<RawJson>,
}

type Key = (Arc<str>, Arc<str>);

/// The outcomes that one entity remembers.
#[derive(Debug, Default)]
pub struct Dedupe {
    clients: HashMap<Key, Window, RandomState>,
    /// 0 before anybody was forgotten.
    horizon: Millis,
    /// The time of the last event, numbered or not.
    last_at: Millis,
    outcomes: usize,
    max_clients: usize,
    max_ops: usize,
}

#[derive(Debug, Default)]
struct Window {
    /// By number. Nearly all come in that order.
    outcomes: VecDeque<Outcome>,
    /// The highest number forgotten.
    floor: u64,
}

/// The packed form: what a snapshot keeps.
#[derive(Debug, Serialize, Deserialize)]
struct Packed {
    #[serde(default)]
    horizon: Millis,
    #[serde(default)]
    last_at: Millis,
    #[serde(default)]
    clients: Vec<PackedClient>,
}

#[derive(Debug, Serialize, Deserialize)]
struct PackedClient {
    user: Arc<str>,
    client: Arc<str>,
    floor: u64,
    outcomes: VecDeque<Outcome>,
}

/// When a client id was made: a ULID begins with the time. The session has checked that it is one.
pub(super) fn client_made(client: &str) -> Millis {
    client.parse::<ulid::Ulid>().map_or(0, |id| id.timestamp_ms())
}

impl Window {
    /// The seq of the latest op: orders clients by their last activity.
    fn last_seq(&self) -> Seq {
        self.outcomes.iter().map(|outcome| outcome.seq).max().unwrap_or(0)
    }

    fn last_at(&self) -> Millis {
        self.outcomes.iter().map(|outcome| outcome.at).max().unwrap_or(0)
    }
}

impl Dedupe {
    /// Remembers nothing yet.
    pub fn new(max_clients: usize, max_ops: usize) -> Self {
        Self { max_clients: max_clients.max(1), max_ops: max_ops.max(1), ..Self::default() }
    }

    /// What is known of op `n` of `client`, which was not sent before what `begun` tells; it is asked for strangers only.
    pub fn look_up(&self, user: &Arc<str>, client: &Arc<str>, begun: impl FnOnce() -> Millis, n: u64) -> Known {
        let Some(window) = self.clients.get(&(Arc::clone(user), Arc::clone(client))) else {
            // Until the first client is forgotten, nobody can be a forgotten one.
            return if self.horizon > 0 && begun() <= self.horizon { Known::Expired } else { Known::New };
        };
        if n <= window.floor {
            return Known::Expired;
        }
        match window.outcomes.binary_search_by_key(&n, |outcome| outcome.n) {
            Ok(at) => Known::Done(window.outcomes[at].clone()),
            Err(_) => Known::New,
        }
    }

    /// The time of the last event: the next one is not dated before it, though a clock may have been set back.
    pub fn last_at(&self) -> Millis {
        self.last_at
    }

    /// Outcomes remembered.
    pub fn len(&self) -> usize {
        self.outcomes
    }

    /// Remembers an accepted op, and forgets the oldest past the bounds.
    pub fn record(&mut self, event: &EventRecord) {
        self.last_at = self.last_at.max(event.at);
        let (Some(client), Some(n)) = (&event.client, event.n) else { return };
        let key = (Arc::clone(&event.from), Arc::clone(client));
        if !self.clients.contains_key(&key) && self.clients.len() >= self.max_clients {
            self.forget_oldest();
        }
        let window = self.clients.entry(key).or_default();
        self.outcomes += 1;
        // Numbers grow, but holes may be filled late.
        let place = window.outcomes.partition_point(|outcome| outcome.n < n);
        window.outcomes.insert(place, Outcome { n, seq: event.seq, at: event.at, result: event.result.clone() });
        if window.outcomes.len() > self.max_ops
            && let Some(lowest) = window.outcomes.pop_front()
        {
            self.outcomes -= 1;
            window.floor = window.floor.max(lowest.n);
        }
    }

    /// Forgets the quieter half of the clients at once, so that the cost of finding them is spread over many ops.
    fn forget_oldest(&mut self) {
        let mut last: Vec<Seq> = self.clients.values().map(Window::last_seq).collect();
        let middle = last.len() / 2;
        let (_, &mut cut, _) = last.select_nth_unstable(middle);
        let (horizon, outcomes) = (&mut self.horizon, &mut self.outcomes);
        self.clients.retain(|(_, client), window| {
            let keep = window.last_seq() > cut;
            if !keep {
                *horizon = (*horizon).max(window.last_at()).max(client_made(client));
                *outcomes -= window.outcomes.len();
            }
            keep
        });
    }

    /// The form that a snapshot keeps.
    pub fn pack(&self) -> RawJson {
        let clients = self.clients.iter().map(|((user, client), window)| PackedClient {
            user: Arc::clone(user),
            client: Arc::clone(client),
            floor: window.floor,
            outcomes: window.outcomes.clone(),
        });
        let mut packed = Packed { horizon: self.horizon, last_at: self.last_at, clients: clients.collect() };
        packed.clients.sort_unstable_by(|a, b| (&a.user, &a.client).cmp(&(&b.user, &b.client)));
        RawJson::from_value(&packed).expect("numbers, strings and JSON serialize")
    }

    /// What [`pack`](Self::pack) packed.
    ///
    /// # Errors
    /// Where `packed` was not made by it.
    pub fn unpack(max_clients: usize, max_ops: usize, packed: &RawJson) -> Result<Self, serde_json::Error> {
        let packed: Packed = serde_json::from_str(packed.as_str())?;
        let mut dedupe = Self { horizon: packed.horizon, last_at: packed.last_at, ..Self::new(max_clients, max_ops) };
        for PackedClient { user, client, floor, mut outcomes } in packed.clients {
            // Earlier versions packed them in the order in which they came.
            outcomes.make_contiguous().sort_by_key(|outcome| outcome.n);
            dedupe.outcomes += outcomes.len();
            dedupe.clients.insert((user, client), Window { outcomes, floor });
        }
        Ok(dedupe)
    }
}
