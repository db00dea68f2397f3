//! What never changes of an entity, however often it is read again.

use std::sync::Arc;

use greenroom_protocol::EntityId;

use crate::frames::Encoder;
use crate::kind::Kind;
use crate::metrics::KindMetrics;

/// Shared by an entity and its life.
pub(super) struct Nature {
    pub id: EntityId,
    pub kind: Arc<Kind>,
    pub encoder: Encoder,
    pub metrics: Arc<KindMetrics>,
}

impl Nature {
    /// Of the entity called `id`.
    pub fn new(id: EntityId, kind: Arc<Kind>, encoder: Encoder) -> Self {
        let metrics = KindMetrics::of(kind.name());
        Self { id, kind, encoder, metrics }
    }
}
