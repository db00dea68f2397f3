//! What one client of a drill records.

use std::collections::BTreeMap;

use greenroom_protocol::RawJson;
use serde::{Deserialize, Serialize};

use super::stage::Stage;
use crate::history::{Effect, Notes};

/// What one client records.
pub struct Record {
    pub notes: Notes,
    /// Ops without a number whose answer was lost: nobody knows what became of them.
    pub forlorn: u64,
    pub reconnects: u64,
    /// Connections with requests behind `connect`.
    pub pipelined: u64,
    /// Tokens that took a right.
    pub revocations: u64,
    /// Reads that were refused for want of the right.
    pub forbidden: u64,
    /// How often each other user was said to have left, by this client's notifications.
    pub left: BTreeMap<String, u64>,
    /// Its user, once that is known.
    pub user: String,
    /// The longest pause in microseconds, see [`super::pause::Pause`].
    pub longest_pause_us: u64,
    pub failures: Vec<String>,
}

impl Record {
    /// Nothing yet, of the client with this index.
    pub fn new(stage: &Stage, client: usize) -> Self {
        Self {
            notes: Notes::of(client, &stage.clock),
            forlorn: 0,
            reconnects: 0,
            pipelined: 0,
            revocations: 0,
            forbidden: 0,
            left: BTreeMap::new(),
            user: String::new(),
            longest_pause_us: 0,
            failures: Vec::new(),
        }
    }
}

/// The body of a post; no two of a drill have the same.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Post {
    pub client: usize,
    pub n: u64,
    pub t: u64,
}

/// The body of an increment: each client has a counter of its own, and adds the number of the op,
/// so that no two are the same.
#[derive(Debug, Clone, Serialize)]
struct Increment {
    path: String,
    by: i64,
}

impl Post {
    /// As the op of a document.
    pub fn as_increment(&self) -> (RawJson, Effect) {
        let by = i64::try_from(self.n).expect("nobody sends so many");
        let body = Increment { path: format!("/c{}", self.client), by };
        (RawJson::from_value(&body).expect("numbers serialize"), Effect::Add(by))
    }

    /// As the op of a room.
    pub fn as_post(&self) -> (RawJson, Effect) {
        (RawJson::from_value(self).expect("numbers serialize"), Effect::Post)
    }
}
