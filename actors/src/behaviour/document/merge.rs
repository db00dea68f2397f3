//! RFC 7386: JSON Merge Patch.

use json_patch::jsonptr::{Pointer, PointerBuf};
use serde_json::Value;

use super::Rejection;
use super::edit::Edit;

/// Merges `patch` into the document.
pub(super) fn perform(patch: Value, edit: &mut Edit<'_>) -> Result<(), Rejection> {
    merge(&PointerBuf::new(), patch, edit)
}

/// Merges `patch` into what is at `at`. The stack grows with the patch's depth, which is limited.
fn merge(at: &Pointer, patch: Value, edit: &mut Edit<'_>) -> Result<(), Rejection> {
    let members = match patch {
        Value::Object(members) if edit.get(at).is_some_and(Value::is_object) => members,
        patch => return edit.add(at, without_nulls(patch)),
    };
    for (key, value) in members {
        let below = at.with_trailing_token(key.as_str());
        if !value.is_null() {
            merge(&below, value, edit)?;
        } else if edit.get(&below).is_some() {
            edit.remove(&below)?;
        }
    }
    Ok(())
}

/// What a patch amounts to where there is nothing to merge it into.
fn without_nulls(patch: Value) -> Value {
    if !patch.is_object() {
        return patch;
    }
    let mut merged = Value::Null;
    json_patch::merge(&mut merged, &patch);
    merged
}
