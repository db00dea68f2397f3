//! Why a store could not be opened, in words for whoever configured it.

use std::path::PathBuf;

/// The store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL says nothing that can be opened.
    #[error("`store.url` {0}")]
    Url(String),
    /// The password could not be read.
    #[error("the store's password: {0}")]
    Password(String),
    /// The data directory does not serve.
    #[error("cannot {what} the data directory `{}`: {reason}; `store.url` must name a directory that this user may write to", directory.display())]
    Directory {
        /// Which one.
        directory: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system says.
        reason: String,
    },
    /// Somebody else has the data directory.
    #[error(
        "another process{} uses the data directory `{}`; stop it, or give this one a directory of its own in `store.url`",
        holder.map(|id| format!(" (number {id})")).unwrap_or_default(), directory.display()
    )]
    InUse {
        /// Which one.
        directory: PathBuf,
        /// The other process, where it left its number.
        holder: Option<u32>,
    },
    /// The embedded engine does not start.
    #[error("the database in `{at}` does not open: {reason}")]
    Engine {
        /// The directory, or `memory`.
        at: String,
        /// What the engine says.
        reason: String,
    },
    /// No server answers.
    #[error("no SurrealDB server answers at `{url}`: {reason}")]
    Unreachable {
        /// Where.
        url: String,
        /// What happened instead.
        reason: String,
    },
    /// The server does not know the user.
    #[error(
        "the server at `{url}` refuses user `{username}` as root, of namespace `{namespace}` and of its database `{database}`; \
         check `store.username` and `store.password_file`"
    )]
    Credentials {
        /// Which server.
        url: String,
        /// Who was refused.
        username: String,
        /// `store.namespace`.
        namespace: String,
        /// `store.database`.
        database: String,
    },
    /// The user, or nobody at all, may not do what is needed.
    #[error("the server at `{url}` does not allow what Greenroom needs: {reason}; {hint}")]
    Forbidden {
        /// Which server.
        url: String,
        /// What it says.
        reason: String,
        /// What to do.
        hint: &'static str,
    },
    /// What is noted of kinds could not be read.
    #[error("cannot read which behaviour the stored kinds have: {reason}")]
    Kinds {
        /// What the database says.
        reason: String,
    },
    /// The entities of a kind were written with another behaviour.
    #[error(
        "the entities of the kind `{kind}` in this store have the behaviour \"{stored}\", and it is configured as \"{configured}\", which cannot \
         read them; set `kinds.{kind}.behaviour = \"{stored}\"` again, and give what is new a kind with another name"
    )]
    Behaviour {
        /// The kind.
        kind: String,
        /// What its entities have.
        stored: String,
        /// What is configured.
        configured: &'static str,
    },
    /// A later version of Greenroom has been here.
    #[error(
        "the store has schema version {found}, and this binary knows versions up to {known}; start a newer Greenroom, \
         or one with another store"
    )]
    NewerSchema {
        /// What the store has.
        found: u64,
        /// What this binary can read.
        known: u64,
    },
    /// A migration failed; those before it are applied.
    #[error("the migration to schema version {version} failed: {reason}")]
    Migration {
        /// The version that it leads to.
        version: u64,
        /// What the database says.
        reason: String,
    },
    /// The threads for the database could not be started.
    #[error("cannot start the database's threads: {0}")]
    Threads(std::io::Error),
}
