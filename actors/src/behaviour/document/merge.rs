//! RFC 7386: JSON Merge Patch.

use serde_json::{Map, Value};

use super::Rejection;
use super::limits::Limits;
use super::node::{Node, Object};

/// How to undo the merge of one member.
#[derive(Debug)]
pub(super) struct Back {
    key: String,
    was: Was,
}

#[derive(Debug)]
enum Was {
    /// The member did not exist.
    Nothing,
    /// The member had this value.
    This(Node),
    /// The member was an object, in which these members were different.
    Other(Vec<Back>),
}

/// Merges `members` into `object`, which is `level` deep in the document, up to the first that is
/// not allowed, and records in `back` how to undo it. The stack grows with the patch's depth, which
/// is limited.
pub(super) fn merge(
    object: &mut Object,
    members: Map<String, Value>,
    level: usize,
    limits: Option<Limits>,
    work: &mut usize,
    back: &mut Vec<Back>,
) -> Result<(), Rejection> {
    for (key, value) in members {
        let value = match value {
            Value::Null => {
                if let Some(old) = object.remove(&key) {
                    back.push(Back { key, was: Was::This(old) });
                }
                continue;
            }
            Value::Object(inner) if object.get(&key).is_some_and(Node::is_object) => {
                let mut within = Vec::new();
                let done = object.change(&key, |node| match node.object_mut(work) {
                    Some(object) => merge(object, inner, level + 1, limits, work, &mut within),
                    None => Ok(()),
                });
                back.push(Back { key, was: Was::Other(within) });
                done.unwrap_or(Ok(()))?;
                continue;
            }
            value => value,
        };
        let node = Node::from(without_nulls(value));
        if let Some(limits) = limits {
            limits.check_depth(level + 1, &node)?;
        }
        let was = object.insert(&key, node).map_or(Was::Nothing, Was::This);
        back.push(Back { key, was });
    }
    Ok(())
}

/// Undoes a merge into `object`.
pub(super) fn take_back(object: &mut Object, back: Vec<Back>) {
    for Back { key, was } in back.into_iter().rev() {
        match was {
            Was::Nothing => drop(object.remove(&key)),
            Was::This(old) => drop(object.insert(&key, old)),
            Was::Other(within) => {
                object.change(&key, |node| {
                    node.object_mut(&mut 0).map(|object| take_back(object, within))
                });
            }
        }
    }
}

/// The result of a patch that has nothing to be merged into.
pub(super) fn without_nulls(patch: Value) -> Value {
    if !patch.is_object() {
        return patch;
    }
    let mut merged = Value::Null;
    json_patch::merge(&mut merged, &patch);
    merged
}
