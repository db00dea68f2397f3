//! Why a store could not be opened, in words for whoever configured it.

use std::path::PathBuf;

use greenroom_actors::behaviour::BehaviourName;

use crate::config::{BadStoreUrl, UnreadableFile};

pub use greenroom_actors::store::Cause;

/// The store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is not one that a store can be opened from.
    #[error("`store.url` {0}")]
    Url(#[source] BadStoreUrl),
    /// The password could not be read.
    #[error("the store's password: {0}")]
    Password(#[source] UnreadableFile),
    /// The data directory cannot be used.
    #[error("cannot {what} the data directory `{}`: {source}; `store.url` must name a directory that this user may write to", directory.display())]
    Directory {
        directory: PathBuf,
        /// A verb: what was tried.
        what: &'static str,
        source: std::io::Error,
    },
    /// Another process has locked the data directory.
    #[error(
        "another process{} is using the data directory `{}`; stop it, or give this one a directory of its own in `store.url`",
        holder.map(|pid| format!(" (pid {pid})")).unwrap_or_default(), directory.display()
    )]
    InUse {
        directory: PathBuf,
        /// The other process's id, if it could be read.
        holder: Option<u32>,
    },
    /// The embedded engine does not start.
    #[error("cannot open the database in `{at}`: {source}")]
    Engine {
        /// `store.url`.
        at: String,
        source: Cause,
    },
    /// The server cannot be reached or does not answer properly.
    #[error("no SurrealDB server answers at `{url}`: {source}")]
    Unreachable { url: String, source: Cause },
    /// The server rejects the user name or the password.
    #[error(
        "the server at `{url}` rejects user `{username}` as a user of the database `{database}`, of its namespace `{namespace}` and as root; \
         check `store.username` and `store.password_file`"
    )]
    Credentials { url: String, username: String, namespace: String, database: String },
    /// The user, or an anonymous client, lacks a right that Greenroom needs.
    #[error("the server at `{url}` does not allow what Greenroom needs: {source}; {hint}")]
    Forbidden {
        url: String,
        source: Cause,
        /// What to do about it.
        hint: &'static str,
    },
    /// The recorded behaviours of the kinds could not be read.
    #[error("cannot read which behaviours the stored kinds have: {source}")]
    Kinds { source: Cause },
    /// The entities of a kind were written with a different behaviour.
    #[error(
        "the stored entities of the kind `{kind}` have the behaviour \"{stored}\", but it is configured as \"{configured}\", which cannot \
         read them; restore `kinds.{kind}.behaviour = \"{stored}\"`, and use a kind with another name for new entities"
    )]
    Behaviour { kind: String, stored: String, configured: BehaviourName },
    /// The store was last used by a later version of Greenroom, and this one cannot read it.
    #[error(
        "the store has schema version {found}, which needs a Greenroom with schema version {oldest} or later, and this one has {known}; \
         use a newer Greenroom, or another store"
    )]
    NewerSchema {
        /// The store's version.
        found: u64,
        /// The oldest version of a binary that can use it.
        oldest: u64,
        /// The version of this binary.
        known: u64,
    },
    /// A migration failed; those before it have been applied.
    #[error("the migration to schema version {version} failed: {source}")]
    Migration {
        /// The version that the migration leads to.
        version: u64,
        source: Cause,
    },
    /// The database's threads could not be started.
    #[error("cannot start the database's threads: {0}")]
    Threads(#[source] std::io::Error),
}
