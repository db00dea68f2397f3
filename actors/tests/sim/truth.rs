//! What the checker knows: the logs on disk, the signals sent, and what clients have seen.

use std::collections::BTreeMap;

use greenroom_protocol::{EntityId, Seq};

use super::client::Client;
use super::clock::Now;
use super::log::Logs;
use super::sizes::Sizes;

#[derive(Debug)]
pub struct Truth {
    pub step: u64,
    pub logs: Logs,
    /// The number of signals that each client has sent on each of its connections.
    pub said: BTreeMap<(usize, u64), u64>,
    /// The latest time that a node's wall clock may have shown.
    pub latest: u64,
    /// Whether entities may forget the outcome of an op.
    pub forgets: bool,
    /// Whether nodes repeat requests of their clients.
    pub repeats: bool,
    /// How long the presence of a lost session must last, in ms.
    pub grace: u64,
    pub now: Now,
    /// The ops that are on disk, by client id and number, and the step at which they came there.
    written: BTreeMap<(String, u64), u64>,
}

impl Truth {
    pub fn new(logs: Logs, sizes: Sizes, now: Now) -> Self {
        Self {
            step: 0,
            logs,
            said: BTreeMap::new(),
            latest: now.wall,
            forgets: sizes.forgets(),
            repeats: false,
            grace: sizes.grace.min(sizes.window),
            now,
            written: BTreeMap::new(),
        }
    }

    /// Checks the events that were written to an entity's log after the first `from`.
    pub fn judge(
        &mut self,
        entity: &EntityId,
        from: usize,
        clients: &[Client],
    ) -> Result<(), String> {
        for event in &self.logs.0[entity].events[from..] {
            let (Some(ulid), Some(n)) = (&event.client, event.n) else {
                return Err(format!("{event:?} is nobody's"));
            };
            if self.written.insert((ulid.to_string(), n), self.step).is_some() {
                return Err(format!(
                    "op {n} of {ulid} was executed more than once, the last time at {} of `{entity}`",
                    event.seq
                ));
            }
            let op = clients
                .iter()
                .flat_map(|client| &client.ops)
                .find(|op| op.n == n && *op.ulid == **ulid);
            let op = op.ok_or_else(|| format!("{event:?} was never sent"))?;
            op.may_be_written(entity, event)?;
        }
        Ok(())
    }

    /// The step at which an op was written, if it was.
    pub fn written_at(&self, ulid: &str, n: u64) -> Option<u64> {
        self.written.get(&(ulid.to_owned(), n)).copied()
    }

    /// The highest seq of an entity that any client has seen.
    pub fn shown(entity: &EntityId, clients: &[Client]) -> Seq {
        clients.iter().map(|client| client.seen(entity)).max().unwrap_or_default()
    }
}
