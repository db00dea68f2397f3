//! What tells this release from others that run beside it during a rolling deploy.
//!
//! Tests of such deploys need two releases. They run this one, and a program that calls [`run_as`]
//! first and is otherwise the same (`tests/next`).

use std::sync::OnceLock;

use greenroom_actors::cluster::link::frame::PROTO;

/// A release, as other nodes and the database see it.
#[derive(Debug, Clone, Copy)]
pub struct Release {
    /// Nodes of newer releases receive slots first.
    pub version: &'static str,
    /// The newest version of the format between nodes that it speaks.
    pub proto: u8,
    /// Migrations of the database that this program does not have: the script of each, and the
    /// oldest version of the schema whose programs still work with the database afterwards.
    pub migrations: &'static [(&'static str, u64)],
}

/// This program.
pub const THIS: Release =
    Release { version: env!("CARGO_PKG_VERSION"), proto: PROTO, migrations: &[] };

static CURRENT: OnceLock<Release> = OnceLock::new();

/// Makes this process a node of another release. Does nothing once a server has started.
pub fn run_as(release: Release) {
    CURRENT.get_or_init(|| release);
}

/// The release that this process is.
pub(crate) fn current() -> Release {
    *CURRENT.get_or_init(|| THIS)
}
