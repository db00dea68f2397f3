//! The limits of a document.

use super::Rejection;
use super::node::Node;

#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) max_state_bytes: usize,
    pub(super) max_depth: usize,
}

impl Limits {
    /// The [work](crate::behaviour::ORDINARY_WORK) that one op may cause, since a short patch can
    /// cause a lot. It is enough to clone every level of the largest state once, for example
    /// because an earlier op copied it.
    pub(super) fn max_work(&self) -> usize {
        const FLOOR: usize = 64 * 1024;
        self.max_state_bytes.saturating_mul(4).max(FLOOR)
    }

    /// The largest state between the steps of one op.
    pub(super) fn max_bytes_between(&self) -> usize {
        self.max_state_bytes.saturating_mul(2)
    }

    /// Whether `node` may be placed `level` deep in the document.
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
