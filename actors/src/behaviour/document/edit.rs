//! A change of several steps that can be taken back.
//!
//! json-patch's own `patch` is not used for this: a `move` whose target does not exist loses the value there, taking
//! back a `move` to the root panics, and a chain of `copy` can double the document for each of its few bytes. Its types
//! and its merge are used, and the tests compare results with it.

use greenroom_protocol::ErrorCode;
use json_patch::jsonptr::{Pointer, PointerBuf};
use serde_json::Value;

use super::Rejection;
use super::number;
use super::tree::{NoPlace, Part, Tree, depth, shown};

/// What a document may grow to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) max_state_bytes: usize,
    pub(super) max_depth: usize,
}

impl Limits {
    /// How many bytes one op may copy, move and remove, and array elements it may shift: a patch is short text that
    /// can ask for long work.
    fn max_work(&self) -> usize {
        const FLOOR: usize = 64 * 1024;
        self.max_state_bytes.saturating_mul(16).max(FLOOR)
    }

    /// What a state may grow to between the steps of one op.
    fn max_bytes_between(&self) -> usize {
        self.max_state_bytes.saturating_mul(2)
    }
}

/// What takes a step back.
#[derive(Debug)]
enum Undo {
    Inserted { at: PointerBuf },
    Replaced { at: PointerBuf, old: Part },
    Removed { at: PointerBuf, old: Part },
    Moved { from: PointerBuf, to: PointerBuf, replaced: Option<Part> },
}

/// A change on its way. Whoever drops it keeps the steps done so far; [`roll_back`](Self::roll_back) undoes them.
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

    pub(super) fn get(&self, at: &Pointer) -> Option<&Value> {
        self.tree.get(at)
    }

    /// RFC 6902 `add`.
    pub(super) fn add(&mut self, at: &Pointer, value: Value) -> Result<(), Rejection> {
        self.check_depth(at, &value)?;
        self.spend(self.tree.shifted(at))?;
        let (at, old) = self.tree.insert(at, Part::new(value)).map_err(|(why, _)| failed(why))?;
        self.undo.push(match old {
            Some(old) => Undo::Replaced { at, old },
            None => Undo::Inserted { at },
        });
        self.check_size_between()
    }

    /// RFC 6902 `remove`.
    pub(super) fn remove(&mut self, at: &Pointer) -> Result<(), Rejection> {
        self.spend(self.tree.shifted(at))?;
        let old = self.tree.remove(at).map_err(failed)?;
        self.undo.push(Undo::Removed { at: at.to_buf(), old });
        Ok(())
    }

    /// RFC 6902 `replace`.
    pub(super) fn replace(&mut self, at: &Pointer, value: Value) -> Result<(), Rejection> {
        self.check_depth(at, &value)?;
        let old = self.tree.replace(at, Part::new(value)).map_err(|(why, _)| failed(why))?;
        self.undo.push(Undo::Replaced { at: at.to_buf(), old });
        self.check_size_between()
    }

    /// RFC 6902 `move`.
    pub(super) fn relocate(&mut self, from: &Pointer, to: &Pointer) -> Result<(), Rejection> {
        if to.starts_with(from) && to != from {
            return Err(Rejection::new("patch_failed", format!("`{}` cannot move into itself", shown(from))));
        }
        self.spend(self.tree.shifted(from))?;
        let part = self.tree.remove(from).map_err(failed)?;
        let inserted = match self.check_depth(to, &part.value).and_then(|()| self.spend(part.len + self.tree.shifted(to))) {
            Ok(()) => self.tree.insert(to, part).map_err(|(why, part)| (failed(why), part)),
            Err(rejection) => Err((rejection, part)),
        };
        match inserted {
            Ok((to, replaced)) => {
                self.undo.push(Undo::Moved { from: from.to_buf(), to, replaced });
                Ok(())
            }
            Err((rejection, part)) => {
                self.undo.push(Undo::Removed { at: from.to_buf(), old: part });
                Err(rejection)
            }
        }
    }

    /// RFC 6902 `copy`.
    pub(super) fn copy(&mut self, from: &Pointer, to: &Pointer) -> Result<(), Rejection> {
        let source = self.tree.get(from).ok_or_else(|| Rejection::new("patch_failed", format!("there is nothing at `{}`", shown(from))))?;
        let len = super::tree::text_len(source);
        self.spend(len)?;
        let value = self.tree.get(from).cloned().unwrap_or_default();
        self.add(to, value)
    }

    /// RFC 6902 `test`.
    pub(super) fn test(&self, at: &Pointer, expected: &Value) -> Result<(), Rejection> {
        match self.tree.get(at) {
            Some(value) if same(value, expected) => Ok(()),
            Some(_) => Err(Rejection::new("test_failed", format!("`{}` has another value", shown(at)))),
            None => Err(Rejection::new("test_failed", format!("there is nothing at `{}`", shown(at)))),
        }
    }

    /// The limit that holds when all steps are done. What does not grow the state is never too large, so that a state
    /// over a limit that was lowered can be cut down.
    pub(super) fn check_size(&self) -> Result<(), Rejection> {
        match self.limits {
            Some(limits) if self.tree.size() > limits.max_state_bytes.max(self.size_before) => {
                Err(too_large(format!("the state would have {} bytes; {} are allowed", self.tree.size(), limits.max_state_bytes)))
            }
            _ => Ok(()),
        }
    }

    /// Takes all steps back.
    pub(super) fn roll_back(self) {
        const FITS: &str = "undone in reverse, each step meets the state that it left";
        for step in self.undo.into_iter().rev() {
            match step {
                Undo::Inserted { at } => {
                    self.tree.remove(&at).expect(FITS);
                }
                Undo::Replaced { at, old } => {
                    self.tree.replace(&at, old).map_err(|(why, _)| why).expect(FITS);
                }
                Undo::Removed { at, old } => {
                    self.tree.insert(&at, old).map_err(|(why, _)| why).expect(FITS);
                }
                Undo::Moved { from, to, replaced } => {
                    let part = match replaced {
                        Some(old) => self.tree.replace(&to, old).map_err(|(why, _)| why).expect(FITS),
                        None => self.tree.remove(&to).expect(FITS),
                    };
                    self.tree.insert(&from, part).map_err(|(why, _)| why).expect(FITS);
                }
            }
        }
    }

    fn check_depth(&self, at: &Pointer, value: &Value) -> Result<(), Rejection> {
        match self.limits {
            Some(limits) if at.count() + depth(value) > limits.max_depth => {
                Err(Rejection::new("too_deep", format!("the state would nest deeper than {}", limits.max_depth)))
            }
            _ => Ok(()),
        }
    }

    fn check_size_between(&self) -> Result<(), Rejection> {
        match self.limits {
            Some(limits) if self.tree.size() > limits.max_bytes_between().max(self.size_before) => {
                Err(too_large(format!("the state would have {} bytes; {} are allowed", self.tree.size(), limits.max_state_bytes)))
            }
            _ => Ok(()),
        }
    }

    fn spend(&mut self, work: usize) -> Result<(), Rejection> {
        self.work = self.work.saturating_add(work);
        match self.limits {
            Some(limits) if self.work > limits.max_work() => Err(too_large("the op copies and moves too much; make several of it".into())),
            _ => Ok(()),
        }
    }
}

fn failed(NoPlace(why): NoPlace) -> Rejection {
    Rejection::new("patch_failed", why)
}

fn too_large(message: String) -> Rejection {
    Rejection { code: ErrorCode::TooLarge, reason: "too_large", message: message.into() }
}

/// RFC 6902's equality: numbers by value, objects without order.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => number::same(a, b),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b))),
        (a, b) => a == b,
    }
}
