//! Rewrites the embedded database: copies its current contents to new files and removes the old
//! ones, including every old version of a row in them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use surrealdb::types::{SurrealValue, Value, Variables};

use super::connection::Connection;
use super::error::Cause;
use super::link::connect;
use super::lock::DirectoryLock;
use super::{OpenError, swap};
use crate::config::{StoreConfig, StoreUrl};

/// All of Greenroom's tables.
const TABLES: [&str; 9] =
    ["journal", "snapshot", "erasure", "kind", "lease", "meta", "map", "map_log", "reach"];
/// How many rows to copy at a time. One row may take up megabytes.
const PAGE_ROWS: i64 = 16;
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(600);

const NAMES: &str = "RETURN object::keys((INFO FOR DB).tables)";

const FIRST: &str = "{
    LET $rows = (SELECT * FROM type::table($table) LIMIT $most);
    RETURN [$rows, IF array::len($rows) > 0 { record::id(array::last($rows).id) } ELSE { NONE }];
}";

/// `type::record` makes SurrealDB push the `LIMIT` down into the scan.
const NEXT: &str = "{
    LET $rows = (SELECT * FROM type::record($table, $last>..) LIMIT $most);
    RETURN [$rows, IF array::len($rows) > 0 { record::id(array::last($rows).id) } ELSE { NONE }];
}";

const PUT: &str = "{ FOR $row IN $rows { UPSERT $row.id CONTENT $row RETURN NONE }; RETURN NONE; }";

/// Why a database was not rewritten. No data is lost: the old files stay in use until the new ones
/// are complete.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// It is not an embedded database on disk.
    #[error(
        "`store.url` is `{0}`; only an embedded database on disk, such as \"surrealkv://./data\", can be rewritten"
    )]
    NotOnDisk(String),
    /// The directory does not exist.
    #[error("there is no database in `{}`", .0.display())]
    Missing(PathBuf),
    /// It holds tables that Greenroom did not create.
    #[error(
        "the database has tables that are not Greenroom's: {0}; use `surreal export` and `surreal import` instead"
    )]
    Foreign(String),
    /// It cannot be opened, or another process has it open.
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("cannot {what}: {source}")]
    Statement { what: &'static str, source: Cause },
    /// The copy differs from the original.
    #[error("the copy of `{0}` differs from the original; the old files stay in use")]
    Unequal(String),
    #[error("cannot {what} in `{}`: {source}", directory.display())]
    Files { what: &'static str, directory: PathBuf, source: std::io::Error },
}

/// Rewrites the database that `store.url` names, and reports its progress through `say`.
///
/// # Errors
/// Why the rewrite failed. The database is then unchanged, or the next process to open it finishes
/// the rewrite.
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
        move |source| RewriteError::Files { what, directory, source }
    };
    if swap::finish(&directory).map_err(files("finish an earlier rewrite"))? {
        say("finished an earlier, interrupted rewrite".into());
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
    // Reopen the copy to compare what is really in its files.
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
    let mut last = None;
    let mut count = 0;
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
        let wanted = page(source, table, last.clone()).await?;
        let found = page(copy, table, last.take()).await?;
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

/// A page of rows in key order, after `last`, and the key of the last of them.
async fn page(
    connection: &Arc<Connection>,
    table: &str,
    last: Option<Value>,
) -> Result<(Vec<Value>, Value), RewriteError> {
    let mut variables = Variables::new();
    variables.insert("table", table);
    variables.insert("most", PAGE_ROWS);
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
        .query(text, variables, STATEMENT_TIMEOUT)
        .await
        .map_err(|error| statement(what, error))
}

fn statement(what: &'static str, source: impl Into<Cause>) -> RewriteError {
    RewriteError::Statement { what, source: source.into() }
}

async fn close(connection: Arc<Connection>) {
    let mut gone = connection.gone();
    drop(connection);
    // An error means that the sender, and with it the engine, is already gone.
    let _gone = gone.wait_for(|gone| *gone).await;
}

/// The total size of a directory's files in bytes.
fn size(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    let bytes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => size(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    });
    bytes.sum()
}
