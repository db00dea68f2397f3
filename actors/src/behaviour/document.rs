//! A JSON document: patches, merges, and single values set or counted up.
//!
//! Every op works in place and in proportion to what it brings, never to the document: an increment
//! costs its path. Edits keep what undoes them (`edit.rs`), sizes and depths are carried along
//! (`node.rs`), and the text is made when somebody asks for it.

use std::cell::OnceCell;

use greenroom_protocol::limits::MAX_DEPTH;
use greenroom_protocol::{RawJson, Seq};

use super::{Accepted, Behaviour, Corrupt, Op, Rejection};
use crate::record::EventRecord;

use edit::{Edit, Limits};
use ops::Change;
use tree::Tree;

mod edit;
mod merge;
mod node;
mod number;
mod ops;
mod parse;
mod patch;
mod tree;

#[cfg(test)]
mod tests;

/// Deepest nesting that is ever allowed, since parsers give up not much beyond.
pub const DEEPEST: usize = 100;

/// The settings of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct DocumentConfig {
    /// The state before the first event.
    pub initial: RawJson,
    /// Largest state, in bytes of JSON.
    pub max_state_bytes: usize,
    /// Deepest nesting of the state: 0 is a scalar. More than [`DEEPEST`] counts as that.
    pub max_depth: usize,
}

impl Default for DocumentConfig {
    fn default() -> Self {
        let initial = RawJson::from_text("{}").expect("this is JSON");
        Self { initial, max_state_bytes: 256 * 1024, max_depth: 32 }
    }
}

impl DocumentConfig {
    /// Whether documents can be made with these settings.
    ///
    /// # Errors
    /// What is wrong with `initial`.
    pub fn check(&self) -> Result<(), String> {
        let limits = self.limits();
        if self.initial.deeper_than(limits.max_depth) {
            return Err(format!(
                "`initial` nests deeper than `max_depth`, which is {}",
                limits.max_depth
            ));
        }
        self.initial.check().map_err(|flaw| format!("`initial`: {flaw}"))?;
        let tree = Tree::new(
            parse::parse(self.initial.as_str()).map_err(|error| format!("`initial`: {error}"))?,
        );
        if tree.size() > limits.max_state_bytes {
            return Err(format!(
                "`initial` is larger than `max_state_bytes`, which is {}",
                limits.max_state_bytes
            ));
        }
        Ok(())
    }

    fn limits(&self) -> Limits {
        Limits { max_state_bytes: self.max_state_bytes, max_depth: self.max_depth.min(DEEPEST) }
    }
}

/// A document's state.
#[derive(Debug)]
pub struct Document {
    limits: Limits,
    tree: Tree,
    /// The snapshot, from the first time it is asked for to the next change.
    snapshot: OnceCell<RawJson>,
}

impl Document {
    /// A document without events.
    ///
    /// # Panics
    /// Where `config` does not pass [`DocumentConfig::check`], and its `initial` is of no use.
    pub fn new(config: DocumentConfig) -> Self {
        assert!(!config.initial.deeper_than(DEEPEST), "the settings were checked at the start");
        let root =
            parse::parse(config.initial.as_str()).expect("the settings were checked at the start");
        Self { limits: config.limits(), tree: Tree::new(root), snapshot: OnceCell::new() }
    }

    /// The document that `state` shows.
    ///
    /// # Errors
    /// Where `state` is no document's snapshot.
    pub fn restore(config: DocumentConfig, seq: Seq, state: &RawJson) -> Result<Self, Corrupt> {
        if state.deeper_than(DEEPEST) {
            return Err(Corrupt { seq, why: format!("the snapshot nests deeper than {DEEPEST}") });
        }
        let root = parse::parse(state.as_str())
            .map_err(|error| Corrupt { seq, why: error.to_string() })?;
        Ok(Self { limits: config.limits(), tree: Tree::new(root), snapshot: OnceCell::new() })
    }

    /// Does an op, or nothing. Events of the past are not held to limits, which may have been
    /// others then.
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
