//! The schema, brought up to date when a connection opens.
//!
//! Each migration is one transaction that checks the version it starts from and writes the one it
//! leads to. If two servers start at once, one applies the migration and the other sees that it has
//! been applied.

use std::sync::Arc;

use surrealdb::types::{Value, Variables};

use super::connection::Connection;
use super::{OpenError, signin};
use crate::config::{StoreConfig, StoreUrl};

/// The migrations from version 0 to 1, from 1 to 2, and so on. Never edit one that has been
/// released: add another.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_journal.surql"),
    include_str!("migrations/0002_retention.surql"),
    include_str!("migrations/0003_kinds.surql"),
    include_str!("migrations/0004_erasures.surql"),
];

/// The schema version that this binary reads and writes.
pub(super) const VERSION: u64 = MIGRATIONS.len() as u64;

/// In a database without the table this fails with "not found".
const READ_VERSION: &str = "SELECT VALUE version FROM ONLY meta:schema";

/// Applies the migrations that the database lacks.
///
/// # Errors
/// If the database has a later version, or a migration fails.
pub(super) async fn migrate(
    connection: &Arc<Connection>,
    config: &StoreConfig,
    target: &StoreUrl,
) -> Result<(), OpenError> {
    migrate_to(MIGRATIONS, connection, config, target).await
}

/// Like `migrate`, with the migrations as an argument.
pub(super) async fn migrate_to(
    migrations: &[&str],
    connection: &Arc<Connection>,
    config: &StoreConfig,
    target: &StoreUrl,
) -> Result<(), OpenError> {
    let known = migrations.len() as u64;
    let mut version = read_version(connection, config, target).await?;
    while version < known {
        // `version` is below the length, which is a `usize`.
        let migration = migrations[version as usize];
        let applied = connection.script(script(version, migration), config.timeout).await;
        let now = read_version(connection, config, target).await?;
        match applied {
            Ok(()) => tracing::info!(version = now, "migrated the store's schema"),
            // Another server applied it first.
            Err(_) if now > version => {}
            Err(error) => {
                return Err(OpenError::Migration { version: version + 1, source: error.into() });
            }
        }
        version = now;
    }
    if version > known {
        return Err(OpenError::NewerSchema { found: version, known });
    }
    Ok(())
}

fn script(from: u64, migration: &str) -> String {
    format!(
        "BEGIN;
        DEFINE TABLE IF NOT EXISTS meta TYPE NORMAL SCHEMAFULL;
        DEFINE FIELD IF NOT EXISTS version ON meta TYPE int;
        LET $found = (SELECT VALUE version FROM ONLY meta:schema) ?? 0;
        IF $found != {from} {{ THROW 'the schema version is ' + <string> $found + ', not {from}' }};
        {migration}
        UPSERT meta:schema SET version = {to} RETURN NONE;
        COMMIT;",
        to = from + 1
    )
}

/// The version of the schema; 0 before the first migration.
async fn read_version(
    connection: &Arc<Connection>,
    config: &StoreConfig,
    target: &StoreUrl,
) -> Result<u64, OpenError> {
    match connection.query(READ_VERSION, Variables::new(), config.timeout).await {
        Ok(Value::None | Value::Null) => Ok(0),
        Ok(value) => value
            .clone()
            .into_int()
            .ok()
            .and_then(|version| u64::try_from(version).ok())
            .ok_or_else(|| OpenError::Migration {
                version: 1,
                source: format!("`meta:schema` holds the version `{value:?}`").into(),
            }),
        Err(error) if error.is_not_found() => Ok(0),
        Err(error) => Err(match target {
            StoreUrl::Server(url) => signin::refused(error, config, url),
            StoreUrl::SurrealKv(_) | StoreUrl::Memory => {
                OpenError::Engine { at: config.url.clone(), source: error.into() }
            }
        }),
    }
}
