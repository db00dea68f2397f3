//! The limits of a document.

use super::Rejection;
use super::node::Node;

/// What a document may grow to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) max_state_bytes: usize,
    pub(super) max_depth: usize,
}

impl Limits {
    /// How much [work](crate::behaviour::ORDINARY_WORK) one op may make: a patch is short text that
    /// can ask for long work. It is enough for cloning every level of the largest state once, be it
    /// because an earlier op has copied it.
    pub(super) fn max_work(&self) -> usize {
        const FLOOR: usize = 64 * 1024;
        self.max_state_bytes.saturating_mul(4).max(FLOOR)
    }

    /// What a state may grow to between the steps of one op.
    pub(super) fn max_bytes_between(&self) -> usize {
        self.max_state_bytes.saturating_mul(2)
    }

    /// Whether `node` may stand `level` deep in the document.
    pub(super) fn check_depth(&self, level: usize, node: &Node) -> Result<(), Rejection> {
        if level + node.extent().depth > self.max_depth {
            return Err(Rejection::new(
                "too_deep",
                format!("the state would nest deeper than {}", self.max_depth),
            ));
        }
        Ok(())
    }
}
