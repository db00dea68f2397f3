//! Exactly once: the outcomes of recent ops, by who sent them.
//!
//! A client numbers its ops. For each `(user, client)` the last `max_ops` outcomes are kept; a
//! number at or below the highest forgotten one is expired: whether it was executed is no longer
//! known, so it is not executed again.
//!
//! At most `max_clients` clients are kept. When one is forgotten, the horizon moves up to its last
//! op. An op of an unknown client may be a repeat from a forgotten one, unless it began after the
//! horizon. The same holds for a client that returned after it may have been forgotten, with the
//! horizon at its return.
//!
//! The client says when an op began, either explicitly or by its client id, which is a ULID. That
//! time is used for nothing else, and must be the same in every repeat. An op that began, by this
//! time, no later than it was executed is behind the horizon once its client is forgotten. An op
//! that claims a later time would not be, so its client is not forgotten until that time has come.
//! Such clients are counted separately, at most `max_clients` of them, and one more has to wait. So
//! the horizon is never ahead of the server's clock, and a client that lies affects only its own
//! ops, which are refused or executed twice.
//!
//! Everything here can be derived from the journal, and is packed into snapshots.

use std::collections::{BTreeSet, VecDeque};
use std::num::NonZeroU64;
use std::sync::{Arc, LazyLock};

use foldhash::fast::RandomState;
use greenroom_protocol::{RawJson, Seq};
use hashbrown::{Equivalent, HashMap};
use serde::{Deserialize, Serialize};

use super::identity::op_hash;
use crate::clock::Millis;
use crate::rare::{Empty, Rare};
use crate::record::EventRecord;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

/// What is known of a numbered op.
#[derive(Debug, Clone, PartialEq)]
pub enum Known {
    /// It was not executed.
    New,
    /// It was executed, with this outcome.
    Done(Outcome),
    /// It is too old: its outcome is forgotten, if there was one.
    Expired,
    /// It was not executed, but it is dated in the future, and so are the ops of too many other
    /// clients. It may be executed after this many milliseconds.
    TooEarly(Millis),
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
    /// The hash of the op. Earlier versions did not store it, or stored another hash under another
    /// name.
    #[serde(rename = "op", default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<NonZeroU64>,
}

/// A user and one of its clients.
type Key = (Arc<str>, Arc<str>);

/// A key that is only looked up.
#[derive(Hash)]
struct Asked<'a>(&'a str, &'a str);

impl Equivalent<Key> for Asked<'_> {
    fn equivalent(&self, (user, client): &Key) -> bool {
        *self.1 == **client && *self.0 == **user
    }
}

/// The outcomes that one entity remembers.
#[derive(Debug, Clone, Default)]
pub struct Dedupe {
    clients: HashMap<Key, Window, RandomState>,
    /// 0 until a client was forgotten.
    horizon: Millis,
    /// The clients that must not be forgotten before a time, ordered by that time.
    ahead: Rare<BTreeSet<(Millis, Key)>>,
    /// The time of the last event, numbered or not.
    last_at: Millis,
    outcomes: usize,
    max_clients: u32,
    max_ops: u32,
}

#[derive(Debug, Clone, Default)]
struct Window {
    /// Ordered by number. Nearly all arrive in that order.
    outcomes: VecDeque<Outcome>,
    /// The highest number forgotten.
    floor: u64,
    /// The horizon when this client appeared: it may have been forgotten before.
    met_behind: Millis,
    /// The latest time at which any of its ops was executed or, according to the client, began.
    over: Millis,
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
    /// Earlier versions did not store it.
    #[serde(default)]
    met_behind: Option<Millis>,
    /// Earlier versions did not store it either.
    #[serde(default)]
    over: Millis,
    outcomes: VecDeque<Outcome>,
}

/// When a client id was made: a ULID begins with the time. The session has checked that it is one.
pub(super) fn client_made(client: &str) -> Millis {
    client.parse::<ulid::Ulid>().map_or(0, |id| id.timestamp_ms())
}

impl Empty for Dedupe {
    fn empty() -> &'static Self {
        static EMPTY: LazyLock<Dedupe> = LazyLock::new(Dedupe::default);
        &EMPTY
    }

    /// Whether nothing was ever recorded: then every op is new.
    fn is_empty(&self) -> bool {
        self.clients.is_empty() && self.last_at == 0 && self.horizon == 0
    }
}

impl Window {
    /// The seq of the latest op: orders clients by their last activity.
    fn last_seq(&self) -> Seq {
        self.outcomes.iter().map(|outcome| outcome.seq).max().unwrap_or_default()
    }

    /// Whether `n` is above all numbers that are kept. This is so for nearly every op, and saves the
    /// search.
    fn is_next(&self, n: u64) -> bool {
        self.outcomes.back().is_none_or(|last| last.n < n)
    }

    /// The outcome of op `n`, if it is kept.
    fn find(&self, n: u64) -> Option<&Outcome> {
        if self.is_next(n) {
            return None;
        }
        let at = self.outcomes.binary_search_by_key(&n, |outcome| outcome.n).ok()?;
        Some(&self.outcomes[at])
    }

    /// Keeps one more outcome. Numbers grow, but gaps may be filled later.
    fn insert(&mut self, outcome: Outcome) {
        if self.is_next(outcome.n) {
            self.outcomes.push_back(outcome);
        } else {
            let at = self.outcomes.partition_point(|earlier| earlier.n < outcome.n);
            self.outcomes.insert(at, outcome);
        }
    }
}

impl Dedupe {
    /// No outcomes yet.
    pub fn new(max_clients: usize, max_ops: usize) -> Self {
        let bound = |most: usize| u32::try_from(most.max(1)).unwrap_or(u32::MAX);
        Self { max_clients: bound(max_clients), max_ops: bound(max_ops), ..Self::default() }
    }

    /// What is known at the time `now` of op `n` of `client`, which says that it began at `began`.
    pub fn look_up(
        &mut self,
        user: &str,
        client: &str,
        began: Millis,
        n: u64,
        now: Millis,
    ) -> Known {
        let window = self.clients.get(&Asked(user, client));
        // Until the first client is forgotten, an unknown client cannot be a forgotten one.
        let behind = window.map_or(self.horizon, |window| window.met_behind);
        if let Some(window) = window {
            if n <= window.floor {
                return Known::Expired;
            }
            if let Some(outcome) = window.find(n) {
                return Known::Done(outcome.clone());
            }
        }
        if behind > 0 && began <= behind {
            return Known::Expired;
        }
        let now = now.max(self.last_at);
        let is_ahead = window.is_some_and(|window| window.over > now);
        if began > now && !is_ahead && self.count_ahead(now) >= self.max_clients as usize {
            return Known::TooEarly(began - now);
        }
        Known::New
    }

    /// Whether an op of `client` with a higher number than `n` was executed.
    pub fn is_overtaken(&self, user: &str, client: &str, n: u64) -> bool {
        self.clients.get(&Asked(user, client)).is_some_and(|window| !window.is_next(n))
    }

    /// The outcome of op `n` of `client`, if it is kept.
    pub fn outcome(&self, user: &str, client: &str, n: u64) -> Option<&Outcome> {
        self.clients.get(&Asked(user, client)).filter(|window| n > window.floor)?.find(n)
    }

    /// The number of clients that must not be forgotten yet.
    fn count_ahead(&mut self, now: Millis) -> usize {
        while self.ahead.first().is_some_and(|(until, _)| *until <= now) {
            self.ahead.change_if_any(BTreeSet::pop_first);
        }
        self.ahead.len()
    }

    /// The time of the last event. The next one is not dated before it, even if the clock has been
    /// set back.
    pub fn last_at(&self) -> Millis {
        self.last_at
    }

    /// The number of outcomes that are kept.
    pub fn len(&self) -> usize {
        self.outcomes
    }

    /// Keeps the outcome of an accepted op, and forgets the oldest beyond the bounds.
    pub fn record(&mut self, event: &EventRecord) {
        self.last_at = self.last_at.max(event.at);
        let (Some(client), Some(n)) = (&event.client, event.n) else { return };
        // Its body is erased, so its hash cannot be computed.
        let hash = event.deleted.is_none().then(|| op_hash(&event.r#type, &event.body));
        let result = event.result.clone();
        let outcome = Outcome { n, seq: event.seq, at: event.at, result, hash };
        let asked = Asked(&event.from, client);
        if self.clients.get(&asked).is_none() {
            self.meet((Arc::clone(&event.from), Arc::clone(client)), event.at);
        }
        let Some(window) = self.clients.get_mut(&asked) else { return };
        window.insert(outcome);
        self.outcomes += 1;
        while window.outcomes.len() > self.max_ops as usize
            && let Some(lowest) = window.outcomes.pop_front()
        {
            self.outcomes -= 1;
            window.floor = window.floor.max(lowest.n);
        }
        let before = window.over;
        window.over = before.max(event.at);
        if let Some(began) = event.began.filter(|began| *began > window.over) {
            window.over = began;
            let key = (Arc::clone(&event.from), Arc::clone(client));
            self.ahead.change(BTreeSet::new, |ahead| {
                let (_, key) = ahead.take(&(before, key.clone())).unwrap_or((before, key));
                ahead.insert((began, key))
            });
        }
    }

    /// Makes room for a new client.
    fn meet(&mut self, key: Key, now: Millis) {
        if self.clients.len() - self.count_ahead(now) >= self.max_clients as usize {
            self.forget_oldest(now);
        }
        self.clients.insert(key, Window { met_behind: self.horizon, ..Window::default() });
    }

    /// Forgets the less active half of the clients that may be forgotten, all at once, so that the
    /// cost of finding them is spread over many ops.
    fn forget_oldest(&mut self, now: Millis) {
        let may_go = |window: &Window| window.over <= now;
        let mut last: Vec<Seq> =
            self.clients.values().filter(|window| may_go(window)).map(Window::last_seq).collect();
        if last.is_empty() {
            return;
        }
        let middle = last.len() / 2;
        let (_, &mut cut, _) = last.select_nth_unstable(middle);
        let horizon = &mut self.horizon;
        let outcomes = &mut self.outcomes;
        self.clients.retain(|_, window| {
            let keep = window.last_seq() > cut || !may_go(window);
            if !keep {
                *horizon = (*horizon).max(window.over);
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
            met_behind: Some(window.met_behind),
            over: window.over,
            outcomes: window.outcomes.clone(),
        });
        let mut packed =
            Packed { horizon: self.horizon, last_at: self.last_at, clients: clients.collect() };
        packed.clients.sort_unstable_by(|a, b| (&a.user, &a.client).cmp(&(&b.user, &b.client)));
        RawJson::from_value(&packed).expect("numbers, strings and JSON serialize")
    }

    /// Restores what [`pack`](Self::pack) has packed.
    ///
    /// # Errors
    /// If `packed` was not made by it.
    pub fn unpack(
        max_clients: usize,
        max_ops: usize,
        packed: &RawJson,
    ) -> Result<Self, serde_json::Error> {
        let packed: Packed = serde_json::from_str(packed.as_str())?;
        let mut dedupe = Self {
            horizon: packed.horizon,
            last_at: packed.last_at,
            ..Self::new(max_clients, max_ops)
        };
        for PackedClient { user, client, floor, met_behind, over, mut outcomes } in packed.clients {
            // Earlier versions packed them in the order in which they came.
            outcomes.make_contiguous().sort_by_key(|outcome| outcome.n);
            dedupe.outcomes += outcomes.len();
            // If that was not stored, a client whose first number is missing may have been
            // forgotten before.
            let is_whole = floor > 0 || outcomes.front().is_some_and(|outcome| outcome.n == 1);
            let met_behind = met_behind.unwrap_or(if is_whole { 0 } else { packed.horizon });
            let over = outcomes.iter().map(|outcome| outcome.at).max().unwrap_or(0).max(over);
            let key = (user, client);
            if over > packed.last_at {
                dedupe.ahead.change(BTreeSet::new, |ahead| ahead.insert((over, key.clone())));
            }
            dedupe.clients.insert(key, Window { outcomes, floor, met_behind, over });
        }
        Ok(dedupe)
    }
}
