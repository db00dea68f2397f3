//! What a session may do now.

use std::sync::Arc;

use greenroom_protocol::{EntityId, ErrorCode, WireError};

use crate::capability::Permissions;
use crate::identity::Identity;
use crate::kind::{Kind, Kinds};

/// The identity of a session, with what it may do. A refresh replaces it, so whoever does work for
/// the session asks the latest one when the work is done.
#[derive(Debug)]
pub struct Rights {
    /// Who the session acts for.
    pub identity: Identity,
    /// The kinds there are.
    pub kinds: Kinds,
    /// Subscriptions, and presence entries, that the session may have at once.
    pub most_subscriptions: usize,
}

impl Rights {
    /// What the identity may do with `entity`; nothing if there is no such kind.
    pub fn permissions(&self, entity: &EntityId) -> Permissions {
        self.kinds.get(entity.kind()).map_or(Permissions::NONE, |kind| self.of_kind(kind, entity))
    }

    /// Whether the identity may do `needed`.
    pub fn may(&self, entity: &EntityId, needed: Permissions) -> bool {
        self.permissions(entity).contains(needed)
    }

    /// The entity's kind, if the identity may do `needed`.
    ///
    /// # Errors
    /// `unknown_kind` or `forbidden`, with what is missing.
    pub fn check(&self, entity: &EntityId, needed: Permissions) -> Result<&Arc<Kind>, WireError> {
        let Some(kind) = self.kinds.get(entity.kind()) else {
            let mut known: Vec<_> = self.kinds.iter().map(|kind| kind.name()).collect();
            known.sort_unstable();
            let message = format!(
                "there is no kind `{}`; configured are: {}",
                entity.kind(),
                known.join(", ")
            );
            return Err(WireError::new(ErrorCode::UnknownKind, message));
        };
        if self.of_kind(kind, entity).contains(needed) {
            return Ok(kind);
        }
        let names: Vec<_> = needed.names().collect();
        let message = format!(
            "`{entity}` needs the permission `{}`, which this identity does not have",
            names.join("`, `")
        );
        Err(WireError::new(ErrorCode::Forbidden, message))
    }

    fn of_kind(&self, kind: &Kind, entity: &EntityId) -> Permissions {
        let by_default = if self.identity.anonymous {
            kind.anonymous_permissions
        } else {
            kind.default_permissions
        };
        by_default.union(self.identity.capabilities.permissions(entity))
    }
}
