//! Who a session acts for.

use std::sync::Arc;

use crate::capability::Capabilities;
use crate::clock::Millis;

/// What a token, or anonymous access, says about a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// The user's name: the token's `sub`, or `anon-…`.
    pub user: Arc<str>,
    /// When the identity ends; `None` never does.
    pub expires_at: Option<Millis>,
    /// What the token grants beyond the kinds' defaults.
    pub capabilities: Capabilities,
    /// Whether nobody vouches for the user.
    pub anonymous: bool,
}
