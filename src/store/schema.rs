//! The schema, brought up to date when a connection opens.
//!
//! Each migration is one transaction that checks the version it starts from and writes the one it
//! leads to. If two servers start at once, one applies the migration and the other sees that it has
//! been applied.
//!
//! The database says which versions it works with: `meta:schema` holds its `version` and the
//! `oldest` version of a binary that can still use it.

use std::sync::Arc;

use greenroom_actors::cluster::map::Versions;
use surrealdb::types::{SurrealValue, Value, Variables};

use super::connection::Connection;
use super::{OpenError, signin};
use crate::config::{StoreConfig, StoreUrl};
use crate::release::{self, Release};

/// A step from one schema version to the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Migration {
    /// What it does, as statements inside one transaction.
    pub script: &'static str,
    /// The oldest version whose binaries still work with the database afterwards. A migration that
    /// only adds what older binaries never look at leaves it as it was, so that the old nodes of a
    /// rolling deploy go on.
    pub oldest: u64,
}

/// The migrations from version 0 to 1, from 1 to 2, and so on. Never edit one that has been
/// released: add another.
const MIGRATIONS: &[Migration] = &[
    Migration { script: include_str!("migrations/0001_journal.surql"), oldest: 1 },
    Migration { script: include_str!("migrations/0002_retention.surql"), oldest: 2 },
    Migration { script: include_str!("migrations/0003_kinds.surql"), oldest: 3 },
    Migration { script: include_str!("migrations/0004_erasures.surql"), oldest: 4 },
    Migration { script: include_str!("migrations/0005_cluster.surql"), oldest: 5 },
];

/// The schema version that this binary reads and writes.
pub(super) const VERSION: u64 = MIGRATIONS.len() as u64;

/// The versions of the schema that this binary works with, for the other nodes of a cluster.
pub const VERSIONS: Versions =
    Versions { min: MIGRATIONS[MIGRATIONS.len() - 1].oldest as u32, max: MIGRATIONS.len() as u32 };

/// The same of a release that may have more migrations.
pub fn of_release(release: &Release) -> Versions {
    release.migrations.iter().fold(VERSIONS, |versions, (_, oldest)| Versions {
        min: u32::try_from(*oldest).unwrap_or(u32::MAX),
        max: versions.max + 1,
    })
}

/// In a database without the table this fails with "not found".
const READ_VERSION: &str = "SELECT VALUE [version, oldest] FROM ONLY meta:schema";

/// What a database says of its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    /// Its version; 0 before the first migration.
    version: u64,
    /// The oldest version whose binaries can use it.
    oldest: u64,
}

/// Applies the migrations that the database lacks.
///
/// # Errors
/// If the database needs a later binary, or a migration fails.
pub(super) async fn migrate(
    connection: &Arc<Connection>,
    config: &StoreConfig,
    target: &StoreUrl,
) -> Result<(), OpenError> {
    let later = release::current().migrations.iter();
    let later = later.map(|(script, oldest)| Migration { script, oldest: *oldest });
    let migrations: Vec<_> = MIGRATIONS.iter().copied().chain(later).collect();
    migrate_to(&migrations, connection, config, target).await
}

/// Like `migrate`, with the migrations as an argument.
pub(super) async fn migrate_to(
    migrations: &[Migration],
    connection: &Arc<Connection>,
    config: &StoreConfig,
    target: &StoreUrl,
) -> Result<(), OpenError> {
    let known = migrations.len() as u64;
    let mut found = read_version(connection, config, target).await?;
    while found.version < known {
        let from = found.version;
        // `from` is below the length, which is a `usize`.
        let applied =
            connection.script(script(from, migrations[from as usize]), config.timeout).await;
        found = read_version(connection, config, target).await?;
        match applied {
            Ok(()) => tracing::info!(version = found.version, "migrated the store's schema"),
            // Another server applied it first.
            Err(_) if found.version > from => {}
            Err(error) => {
                return Err(OpenError::Migration { version: from + 1, source: error.into() });
            }
        }
    }
    if found.oldest > known {
        return Err(OpenError::NewerSchema { found: found.version, oldest: found.oldest, known });
    }
    Ok(())
}

/// `oldest` never goes back, and never is above the version that was reached.
fn script(from: u64, Migration { script, oldest }: Migration) -> String {
    format!(
        "BEGIN;
        DEFINE TABLE IF NOT EXISTS meta TYPE NORMAL SCHEMAFULL;
        DEFINE FIELD IF NOT EXISTS version ON meta TYPE int;
        DEFINE FIELD IF NOT EXISTS oldest ON meta TYPE option<int>;
        LET $found = (SELECT VALUE version FROM ONLY meta:schema) ?? 0;
        IF $found != {from} {{ THROW 'the schema version is ' + <string> $found + ', not {from}' }};
        {script}
        UPSERT meta:schema SET version = {to}, oldest = math::max([oldest ?? 0, {oldest}]) RETURN NONE;
        COMMIT;",
        to = from + 1
    )
}

/// What the database says of its schema. Before the field `oldest` existed, only binaries of its
/// own version could use it.
async fn read_version(
    connection: &Arc<Connection>,
    config: &StoreConfig,
    target: &StoreUrl,
) -> Result<Found, OpenError> {
    match connection.query(READ_VERSION, Variables::new(), config.timeout).await {
        Ok(Value::None | Value::Null) => Ok(Found { version: 0, oldest: 0 }),
        Ok(value) => {
            let found = <(i64, Option<i64>)>::from_value(value.clone()).ok();
            found
                .and_then(|(version, oldest)| {
                    let version = u64::try_from(version).ok()?;
                    let oldest = oldest.map_or(Some(version), |oldest| oldest.try_into().ok())?;
                    Some(Found { version, oldest })
                })
                .ok_or_else(|| OpenError::Migration {
                    version: 1,
                    source: format!("`meta:schema` holds the versions `{value:?}`").into(),
                })
        }
        Err(error) if error.is_not_found() => Ok(Found { version: 0, oldest: 0 }),
        Err(error) => Err(match target {
            StoreUrl::Server(url) => signin::refused(error, config, url),
            StoreUrl::SurrealKv(_) | StoreUrl::Memory => {
                OpenError::Engine { at: config.url.clone(), source: error.into() }
            }
        }),
    }
}
