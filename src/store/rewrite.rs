//! Rewriting the embedded database: what it holds now goes to new files, and the old ones are
//! removed, with every old version of a row in them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use surrealdb::types::{SurrealValue, Value, Variables};

use super::connection::Connection;
use super::link::connect;
use super::lock::DirectoryLock;
use super::{OpenError, swap};
use crate::config::{StoreConfig, StoreUrl};

/// Every table that Greenroom has.
const TABLES: [&str; 6] = ["journal", "snapshot", "erasure", "kind", "lease", "meta"];
/// Rows that are copied at a time: each may have megabytes.
const MOST: i64 = 16;
/// For one statement.
const PATIENCE: Duration = Duration::from_secs(600);

const NAMES: &str = "RETURN object::keys((INFO FOR DB).tables)";

const FIRST: &str = "{
    LET $rows = (SELECT * FROM type::table($table) LIMIT $most);
    RETURN [$rows, IF array::len($rows) > 0 { record::id(array::last($rows).id) } ELSE { NONE }];
}";

/// `type::record` has SurrealDB push the `LIMIT` into the scan.
const NEXT: &str = "{
    LET $rows = (SELECT * FROM type::record($table, $last>..) LIMIT $most);
    RETURN [$rows, IF array::len($rows) > 0 { record::id(array::last($rows).id) } ELSE { NONE }];
}";

const PUT: &str = "{ FOR $row IN $rows { UPSERT $row.id CONTENT $row RETURN NONE }; RETURN NONE; }";

/// Why a database was not rewritten. Nothing is lost: the old files are in use until the new ones
/// are complete.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// It is not one on this disk.
    #[error(
        "`store.url` is `{0}`; only an embedded database on disk, such as \"surrealkv://./data\", is rewritten"
    )]
    NotOnDisk(String),
    /// There is none.
    #[error("there is no database in `{}`", .0.display())]
    Missing(PathBuf),
    /// It holds what Greenroom did not put there.
    #[error(
        "the database has tables that are not Greenroom's: {0}; use `surreal export` and `surreal import` instead"
    )]
    Foreign(String),
    /// It cannot be opened, or somebody else has it.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A statement failed.
    #[error("cannot {what}: {why}")]
    Statement {
        /// What was tried.
        what: &'static str,
        /// What the database says.
        why: String,
    },
    /// The copy is not what it should be.
    #[error("the copy of `{0}` is not equal to the original; the old files are kept")]
    Unequal(String),
    /// The files cannot be written.
    #[error("cannot {what} in `{}`: {error}", directory.display())]
    Files {
        /// What was tried.
        what: &'static str,
        /// Where.
        directory: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
}

/// Rewrites the database that `store.url` names, and tells on the way what it does.
///
/// # Errors
/// Why it did not. The database is then as it was before, or is finished by whoever opens it next.
pub async fn rewrite(
    config: &StoreConfig,
    say: &mut impl FnMut(String),
) -> Result<(), RewriteError> {
    let Ok(StoreUrl::SurrealKv(directory)) = config.target() else {
        return Err(RewriteError::NotOnDisk(config.url.clone()));
    };
    if !directory.is_dir() {
        return Err(RewriteError::Missing(directory));
    }
    let _lock = DirectoryLock::take(&directory)?;
    let files = |what| {
        let directory = directory.clone();
        move |error| RewriteError::Files { what, directory, error }
    };
    if swap::finish(&directory).map_err(files("finish an earlier rewrite"))? {
        say("finished an earlier rewrite that was interrupted".into());
    }
    swap::discard(&directory).map_err(files("make room for new files"))?;
    let before = size(&directory);
    say(format!("rewriting `{}`, {} MiB", directory.display(), before >> 20));

    let new = StoreUrl::SurrealKv(swap::new_directory(&directory));
    let source = connect(config, &StoreUrl::SurrealKv(directory.clone())).await?;
    refuse_foreign(&source).await?;
    let copy = connect(config, &new).await?;
    for table in TABLES {
        let rows = copy_table(&source, &copy, table).await?;
        say(format!("copied {rows} rows of `{table}`"));
    }
    close(copy).await;
    // Opened anew, it shows what is in the files.
    let copy = connect(config, &new).await?;
    for table in TABLES {
        compare(&source, &copy, table).await?;
    }
    say("compared all rows with the originals".into());
    close(copy).await;
    close(source).await;
    swap::begin(&directory).map_err(files("put the new files into place"))?;
    say(format!("done: {} MiB before, {} MiB now", before >> 20, size(&directory) >> 20));
    Ok(())
}

async fn refuse_foreign(source: &Arc<Connection>) -> Result<(), RewriteError> {
    let names = query(source, NAMES, Variables::new(), "list the tables").await?;
    let names =
        Vec::<String>::from_value(names).map_err(|error| statement("list the tables", error))?;
    let foreign: Vec<_> =
        names.into_iter().filter(|name| !TABLES.contains(&name.as_str())).collect();
    if foreign.is_empty() { Ok(()) } else { Err(RewriteError::Foreign(foreign.join(", "))) }
}

async fn copy_table(
    source: &Arc<Connection>,
    copy: &Arc<Connection>,
    table: &str,
) -> Result<usize, RewriteError> {
    let (mut last, mut count) = (None, 0);
    loop {
        let (rows, end) = page(source, table, last.take()).await?;
        if rows.is_empty() {
            return Ok(count);
        }
        count += rows.len();
        last = Some(end);
        let mut variables = Variables::new();
        variables.insert("rows", rows);
        query(copy, PUT, variables, "write a copy").await?;
    }
}

async fn compare(
    source: &Arc<Connection>,
    copy: &Arc<Connection>,
    table: &str,
) -> Result<(), RewriteError> {
    let mut last = None;
    loop {
        let (wanted, found) =
            (page(source, table, last.clone()).await?, page(copy, table, last.take()).await?);
        if wanted != found {
            return Err(RewriteError::Unequal(table.to_owned()));
        }
        let (rows, end) = wanted;
        if rows.is_empty() {
            return Ok(());
        }
        last = Some(end);
    }
}

/// Rows in the order of their keys, behind `last`, and the key of the last one.
async fn page(
    connection: &Arc<Connection>,
    table: &str,
    last: Option<Value>,
) -> Result<(Vec<Value>, Value), RewriteError> {
    let mut variables = Variables::new();
    variables.insert("table", table);
    variables.insert("most", MOST);
    let statement_text = if last.is_some() { NEXT } else { FIRST };
    if let Some(last) = last {
        variables.insert("last", last);
    }
    let found = query(connection, statement_text, variables, "read rows").await?;
    <(Vec<Value>, Value)>::from_value(found).map_err(|error| statement("read rows", error))
}

async fn query(
    connection: &Arc<Connection>,
    text: &'static str,
    variables: Variables,
    what: &'static str,
) -> Result<Value, RewriteError> {
    connection
        .query_error(text, variables, PATIENCE)
        .await
        .map_err(|error| statement(what, error.message()))
}

fn statement(what: &'static str, why: impl std::fmt::Display) -> RewriteError {
    RewriteError::Statement { what, why: why.to_string() }
}

async fn close(connection: Arc<Connection>) {
    let mut gone = connection.gone();
    drop(connection);
    // An error says that the sender, and with it the engine, is gone too.
    let _gone = gone.wait_for(|gone| *gone).await;
}

/// Bytes in a directory's files.
fn size(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    let bytes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => size(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    });
    bytes.sum()
}
