//! RFC 6902: JSON Patch.

use json_patch::{Patch, PatchOperation};

use super::Rejection;
use super::edit::Edit;

/// Performs the operations one after the other, up to the first that fails.
pub(super) fn perform(Patch(operations): Patch, edit: &mut Edit<'_>) -> Result<(), Rejection> {
    for (index, operation) in operations.into_iter().enumerate() {
        let done = match operation {
            PatchOperation::Add(op) => edit.add(&op.path, op.value),
            PatchOperation::Remove(op) => edit.remove(&op.path),
            PatchOperation::Replace(op) => edit.replace(&op.path, op.value.into()),
            PatchOperation::Move(op) => edit.relocate(&op.from, &op.path),
            PatchOperation::Copy(op) => edit.copy(&op.from, &op.path),
            PatchOperation::Test(op) => edit.test(&op.path, &op.value),
        };
        done.map_err(|rejection| Rejection {
            message: format!("operation {index}: {}", rejection.message).into(),
            ..rejection
        })?;
    }
    Ok(())
}
