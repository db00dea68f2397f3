//! Checks that every signal that arrives was sent, arrives once, and in its sender's order.

use std::collections::BTreeMap;

use greenroom_protocol::params::{self, SignalPolicy};
use greenroom_protocol::{Call, EntityId, RawJson, notify};
use serde::{Deserialize, Serialize};

use super::checks::parse;
use super::{Asked, Client};
use crate::truth::Truth;

/// The contents of a signal: its client, which of its connections, and a number.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Said {
    by: usize,
    line: u64,
    k: u64,
}

/// The latest number received from a sender's connection, overall and for each key.
#[derive(Debug, Default)]
struct Sender {
    latest: u64,
    by_key: BTreeMap<Option<String>, u64>,
}

/// The signals received on one connection, by entity and sender.
#[derive(Debug, Default)]
pub struct Heard(BTreeMap<(EntityId, usize, u64), Sender>);

impl Client {
    pub fn signal(&mut self, entity: &EntityId, key: Option<String>, truth: &mut Truth) -> Vec<u8> {
        self.said += 1;
        let said = Said { by: self.index, line: self.line, k: self.said };
        truth.said.insert((said.by, said.line), said.k);
        let body = RawJson::from_value(&said).expect("numbers are JSON");
        let signal = params::Signal { entity: entity.clone(), r#type: "typing".into(), body, key };
        self.request(Asked::Signal(entity.clone()), &Call::Signal(signal))
    }

    pub(super) fn signalled(
        &mut self,
        signal: &notify::Signal,
        truth: &Truth,
    ) -> Result<(), String> {
        let what = format!("signal {signal:?}");
        let Said { by, line, k } = parse(&signal.body)?;
        let terms = self.follows.get(&signal.entity).and_then(|follow| follow.live);
        let Some(policy) =
            terms.map(|terms| terms.signals).filter(|policy| *policy != SignalPolicy::None)
        else {
            return Err(format!("{what}: nobody wants signals of `{}`", signal.entity));
        };
        if truth.said.get(&(by, line)).is_none_or(|said| k > *said) {
            return Err(format!("{what}: it was not sent"));
        }
        if (by, line) == (self.index, self.line) {
            return Err(format!("{what}: it came back to its sender"));
        }
        let sender = self.heard.0.entry((signal.entity.clone(), by, line)).or_default();
        // With `latest`, a newer signal replaces an older one with the same key, and so may arrive
        // before signals with other keys.
        let before = if policy == SignalPolicy::Latest {
            sender.by_key.get(&signal.key).copied().unwrap_or(0)
        } else {
            sender.latest
        };
        if k <= before {
            return Err(format!("{what}: it came after signal {before} of its sender"));
        }
        sender.by_key.insert(signal.key.clone(), k);
        sender.latest = sender.latest.max(k);
        self.stats.signals += 1;
        Ok(())
    }
}
