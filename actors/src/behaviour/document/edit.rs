//! A change of several steps that can be rolled back.
//!
//! json-patch's own `patch` is not used for this: a `move` whose target does not exist loses the
//! value, undoing a `move` to the root panics, and each short `copy` of a chain can double the
//! document. Its types and its merge are used, and the tests compare results with it.
//!
//! The cost of a step depends on its path and its value, not on the size of what it moves, copies,
//! replaces or removes, because every node knows its extent and copies are shared (`node.rs`). The
//! rest of the work, moving array elements and cloning shared nodes, is counted and limited.

use greenroom_protocol::ErrorCode;
use json_patch::jsonptr::{Pointer, PointerBuf};
use serde_json::{Map, Value};

use super::Rejection;
use super::limits::Limits;
use super::merge::{Back, merge, take_back, without_nulls};
use super::node::Node;
use super::tree::{AtIndex, NoPlace, Tree, shown};

/// How to undo one step.
#[derive(Debug)]
enum Undo {
    Inserted { at: PointerBuf },
    Replaced { at: PointerBuf, old: Node },
    Removed { at: PointerBuf, old: Node },
    Moved { from: PointerBuf, to: PointerBuf, replaced: Option<Node> },
    Merged(Vec<Back>),
}

/// A change in progress. Dropping it keeps the steps done so far; [`roll_back`](Self::roll_back)
/// undoes them.
#[derive(Debug)]
pub(super) struct Edit<'a> {
    tree: &'a mut Tree,
    limits: Option<Limits>,
    size_before: usize,
    work: usize,
    undo: Vec<Undo>,
}

impl<'a> Edit<'a> {
    pub(super) fn begin(tree: &'a mut Tree, limits: Option<Limits>) -> Self {
        Self { size_before: tree.size(), tree, limits, work: 0, undo: Vec::new() }
    }

    pub(super) fn get(&self, at: &Pointer) -> Option<&Node> {
        self.tree.get(at)
    }

    /// RFC 6902 `add`.
    pub(super) fn add(&mut self, at: &Pointer, value: Value) -> Result<(), Rejection> {
        self.put(at, value.into(), AtIndex::Insert)
    }

    /// Sets the value at `at`, or adds it if there is none.
    pub(super) fn set(&mut self, at: &Pointer, value: Value) -> Result<(), Rejection> {
        self.put(at, value.into(), AtIndex::Replace)
    }

    fn put(&mut self, at: &Pointer, node: Node, index: AtIndex) -> Result<(), Rejection> {
        self.check_depth(at, &node)?;
        if index == AtIndex::Insert {
            self.spend(self.tree.moving(at))?;
        }
        let (at, old) = self.tree.put(at, node, index, &mut self.work).map_err(failed)?;
        self.undo.push(match old {
            Some(old) => Undo::Replaced { at, old },
            None => Undo::Inserted { at },
        });
        self.check_between()
    }

    /// RFC 6902 `remove`.
    pub(super) fn remove(&mut self, at: &Pointer) -> Result<(), Rejection> {
        self.spend(self.tree.moving(at))?;
        let old = self.tree.remove(at, &mut self.work).map_err(failed)?;
        self.undo.push(Undo::Removed { at: at.to_buf(), old });
        self.check_between()
    }

    /// RFC 6902 `replace`.
    pub(super) fn replace(&mut self, at: &Pointer, node: Node) -> Result<(), Rejection> {
        self.check_depth(at, &node)?;
        let old = self.tree.replace(at, node, &mut self.work).map_err(failed)?;
        self.undo.push(Undo::Replaced { at: at.to_buf(), old });
        self.check_between()
    }

    /// RFC 6902 `move`.
    pub(super) fn relocate(&mut self, from: &Pointer, to: &Pointer) -> Result<(), Rejection> {
        if to.starts_with(from) && to != from {
            return Err(Rejection::new(
                "patch_failed",
                format!("`{}` cannot move into itself", shown(from)),
            ));
        }
        self.spend(self.tree.moving(from))?;
        let node = self.tree.remove(from, &mut self.work).map_err(failed)?;
        // Needed for the undo if `to` does not exist. The clone is shared, not copied, and is
        // dropped before anything else changes.
        let old = node.clone();
        let moved = self.check_depth(to, &node).and_then(|()| self.spend(self.tree.moving(to)));
        match moved
            .and_then(|()| self.tree.put(to, node, AtIndex::Insert, &mut self.work).map_err(failed))
        {
            Ok((to, replaced)) => {
                drop(old);
                self.undo.push(Undo::Moved { from: from.to_buf(), to, replaced });
                self.check_between()
            }
            Err(rejection) => {
                self.undo.push(Undo::Removed { at: from.to_buf(), old });
                Err(rejection)
            }
        }
    }

    /// RFC 6902 `copy`.
    pub(super) fn copy(&mut self, from: &Pointer, to: &Pointer) -> Result<(), Rejection> {
        let Some(source) = self.tree.get(from) else {
            return Err(Rejection::new(
                "patch_failed",
                format!("there is nothing at `{}`", shown(from)),
            ));
        };
        self.put(to, source.clone(), AtIndex::Insert)
    }

    /// RFC 6902 `test`.
    pub(super) fn test(&self, at: &Pointer, expected: &Value) -> Result<(), Rejection> {
        match self.tree.get(at) {
            Some(node) if node.same(expected) => Ok(()),
            Some(_) => {
                Err(Rejection::new("test_failed", format!("`{}` has another value", shown(at))))
            }
            None => {
                Err(Rejection::new("test_failed", format!("there is nothing at `{}`", shown(at))))
            }
        }
    }

    /// RFC 7386, into the whole document.
    pub(super) fn merge(&mut self, patch: Value) -> Result<(), Rejection> {
        let root = PointerBuf::new();
        let members: Map<_, _> = match patch {
            Value::Object(members) if self.tree.root_mut().is_object() => members,
            patch => return self.put(&root, without_nulls(patch).into(), AtIndex::Replace),
        };
        let Some(object) = self.tree.root_mut().object_mut(&mut self.work) else { return Ok(()) };
        let mut back = Vec::new();
        let merged = merge(object, members, 0, self.limits, &mut self.work, &mut back);
        self.undo.push(Undo::Merged(back));
        merged?;
        self.check_between()
    }

    /// The limit that applies when all steps are done. An op that does not grow the state always
    /// passes, so that a state over a lowered limit can be reduced.
    pub(super) fn check_size(&self) -> Result<(), Rejection> {
        match self.limits {
            Some(limits) if self.tree.size() > limits.max_state_bytes.max(self.size_before) => {
                Err(self.grown(limits))
            }
            _ => Ok(()),
        }
    }

    /// The work done so far, in units of [`ORDINARY_WORK`](crate::behaviour::ORDINARY_WORK).
    pub(super) fn work(&self) -> usize {
        self.work
    }

    /// Undoes all steps.
    pub(super) fn roll_back(self) {
        const FITS: &str = "undone in reverse, each step meets the state that it left";
        let tree = self.tree;
        let work = &mut 0;
        for step in self.undo.into_iter().rev() {
            match step {
                Undo::Inserted { at } => {
                    tree.remove(&at, work).expect(FITS);
                }
                Undo::Replaced { at, old } => {
                    tree.replace(&at, old, work).expect(FITS);
                }
                Undo::Removed { at, old } => {
                    tree.put(&at, old, AtIndex::Insert, work).expect(FITS);
                }
                Undo::Moved { from, to, replaced } => {
                    let node = match replaced {
                        Some(old) => tree.replace(&to, old, work).expect(FITS),
                        None => tree.remove(&to, work).expect(FITS),
                    };
                    tree.put(&from, node, AtIndex::Insert, work).expect(FITS);
                }
                Undo::Merged(back) => {
                    take_back(tree.root_mut().object_mut(work).expect(FITS), back);
                }
            }
        }
    }

    fn check_depth(&self, at: &Pointer, node: &Node) -> Result<(), Rejection> {
        self.limits.map_or(Ok(()), |limits| limits.check_depth(at.count(), node))
    }

    /// The limits that apply after each step.
    fn check_between(&self) -> Result<(), Rejection> {
        match self.limits {
            Some(limits) if self.tree.size() > limits.max_bytes_between().max(self.size_before) => {
                Err(self.grown(limits))
            }
            Some(limits) if self.work > limits.max_work() => Err(too_much_work()),
            _ => Ok(()),
        }
    }

    fn grown(&self, limits: Limits) -> Rejection {
        too_large(format!(
            "the state would have {} bytes; {} are allowed",
            self.tree.size(),
            limits.max_state_bytes
        ))
    }

    fn spend(&mut self, work: usize) -> Result<(), Rejection> {
        match self.limits {
            Some(limits) if self.work + work > limits.max_work() => Err(too_much_work()),
            _ => {
                self.work += work;
                Ok(())
            }
        }
    }
}

fn failed(NoPlace(why): NoPlace) -> Rejection {
    Rejection::new("patch_failed", why)
}

fn too_much_work() -> Rejection {
    too_large("the op copies and moves too much; split it into several ops".into())
}

fn too_large(message: String) -> Rejection {
    Rejection { code: ErrorCode::TooLarge, reason: "too_large", message: message.into(), work: 0 }
}
