//! A JSON document, changed by patches, merges, `set` and `increment`.
//!
//! Every op works in place, and its cost depends on the size of its body, not of the document: an
//! increment costs the length of its path. Edits can be rolled back (`edit.rs`), sizes and depths
//! are kept up to date with every change (`node.rs`), and the text is only made when it is
//! requested.

use std::cell::OnceCell;

use greenroom_protocol::limits::MAX_DEPTH;
use greenroom_protocol::{RawJson, Seq};
use serde::{Deserialize, Serialize};

use super::{Accepted, Behaviour, Corrupt, Op, Rejection};
use crate::record::EventRecord;
use crate::settings::Problems;
use crate::settings::units::{self, Bytes, MIB};

pub use initial::{BadInitial, Initial};
pub use parse::Unreadable;

use edit::Edit;
use limits::Limits;
use ops::Change;
use tree::Tree;

mod edit;
mod initial;
mod limits;
mod merge;
mod node;
mod number;
mod ops;
mod parse;
mod patch;
mod tree;

#[cfg(test)]
mod tests;

/// The deepest nesting that can be configured: parsers fail not far beyond it.
pub const DEEPEST: usize = 100;

/// The settings of a document, from `[kinds.NAME]` for the behaviour `document`; missing ones have
/// their defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DocumentConfig {
    /// The state before the first op.
    pub initial: Initial,
    /// The largest state, in bytes of JSON. Ops that would exceed it are refused.
    #[serde(with = "units::size")]
    pub max_state_bytes: usize,
    /// The deepest nesting of the state, at most [`DEEPEST`]; a scalar has depth 0.
    pub max_depth: usize,
}

impl Default for DocumentConfig {
    fn default() -> Self {
        Self { initial: Initial::default(), max_state_bytes: MIB, max_depth: 64 }
    }
}

impl DocumentConfig {
    /// Reports settings with which documents could not work.
    pub(super) fn check(&self, problems: &mut Problems) {
        problems.at_least("max_state_bytes", self.max_state_bytes, 64);
        problems.check((1..=DEEPEST).contains(&self.max_depth), "max_depth", || {
            format!("is {}; it must be from 1 to {DEEPEST}", self.max_depth)
        });
        let initial = self.initial.tree();
        problems.check(initial.size() <= self.max_state_bytes, "initial", || {
            format!(
                "has {} bytes of JSON, over `max_state_bytes` ({})",
                initial.size(),
                Bytes(self.max_state_bytes)
            )
        });
        problems.check(initial.depth() <= self.max_depth, "initial", || {
            format!("is nested {} deep, over `max_depth` ({})", initial.depth(), self.max_depth)
        });
    }

    fn limits(&self) -> Limits {
        Limits { max_state_bytes: self.max_state_bytes, max_depth: self.max_depth }
    }
}

/// A document's state.
#[derive(Debug)]
pub struct Document {
    limits: Limits,
    tree: Tree,
    /// Cached from the first request to the next change.
    snapshot: OnceCell<RawJson>,
}

impl Document {
    /// A document without events.
    pub fn new(config: &DocumentConfig) -> Self {
        Self { limits: config.limits(), tree: config.initial.tree(), snapshot: OnceCell::new() }
    }

    /// The document of which `state` is a snapshot.
    ///
    /// # Errors
    /// If `state` is not the snapshot of a document.
    pub fn restore(config: &DocumentConfig, seq: Seq, state: &RawJson) -> Result<Self, Corrupt> {
        if state.deeper_than(DEEPEST) {
            return Err(Corrupt { seq, why: format!("the snapshot nests deeper than {DEEPEST}") });
        }
        let root = parse::parse(state.as_str())
            .map_err(|error| Corrupt { seq, why: error.to_string() })?;
        Ok(Self { limits: config.limits(), tree: Tree::new(root), snapshot: OnceCell::new() })
    }

    /// Performs an op completely or not at all. Past events are replayed without limits, since the
    /// limits may have been different when they were accepted.
    fn change(
        &mut self,
        r#type: &str,
        body: &RawJson,
        limits: Option<Limits>,
    ) -> Result<Accepted, Rejection> {
        if body.deeper_than(MAX_DEPTH) {
            return Err(Rejection::new(
                "too_deep",
                format!("the body nests deeper than {MAX_DEPTH}"),
            ));
        }
        let change = Change::parse(r#type, body)?;
        let mut edit = Edit::begin(&mut self.tree, limits);
        match change.perform(&mut edit).and_then(|result| edit.check_size().map(|()| result)) {
            Ok(result) => {
                let work = edit.work();
                self.snapshot.take();
                Ok(Accepted { result, work })
            }
            Err(rejection) => {
                let work = edit.work();
                edit.roll_back();
                Err(rejection.after(work))
            }
        }
    }
}

impl Behaviour for Document {
    fn decide(&mut self, op: &Op<'_>) -> Result<Accepted, Rejection> {
        self.change(op.r#type, op.body, Some(self.limits))
    }

    fn apply(&mut self, event: &EventRecord) -> Result<(), Corrupt> {
        let done = self.change(&event.r#type, &event.body, None);
        done.map(drop)
            .map_err(|rejection| Corrupt { seq: event.seq, why: rejection.message.into_owned() })
    }

    fn snapshot(&self) -> RawJson {
        self.snapshot.get_or_init(|| self.tree.to_text()).clone()
    }

    fn size(&self) -> usize {
        self.tree.size()
    }
}
