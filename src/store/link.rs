//! The way to the database: one connection at a time, replaced when it fails.
//!
//! A server's client reconnects by itself and signs in again, as long as nothing goes wrong; but it
//! never notices a peer that has silently gone away, and a session that failed once to sign in
//! again stays dead. After a failed write, the embedded engine does not trust its log until it is
//! reopened. So a connection with a suspicious error is given up here, and the next call opens
//! another.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use surrealdb::types::{Value, Variables};
use tokio::sync::{OwnedMutexGuard, watch};
use tokio::task::JoinError;
use tokio::time::Instant;

use super::connection::Connection;
use super::error::Cause;
use super::failure::Failure;
use super::lock::DirectoryLock;
use super::{OpenError, schema, swap};
use crate::config::{StoreConfig, StoreUrl};

/// The longest pause after the first failure to open a connection.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The longest pause after any number of failures.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// A connection that is opened on demand.
pub(super) struct Link {
    config: StoreConfig,
    target: StoreUrl,
    state: Mutex<State>,
    /// Held while a connection is being opened, so that only one is.
    opening: Arc<tokio::sync::Mutex<Pause>>,
    // Declared last, so that the directory is released after the connection has begun to close.
    _lock: Option<DirectoryLock>,
}

#[derive(Default)]
struct State {
    current: Option<Arc<Connection>>,
    /// Becomes true when the connection given up last has closed its files.
    gone: Option<watch::Receiver<bool>>,
    /// Why the on-disk engine could not be reopened. It then keeps its files locked until the
    /// process ends.
    dead: Option<String>,
}

/// When to retry after failures.
#[derive(Default)]
struct Pause {
    failures: u32,
    until: Option<Instant>,
}

impl Link {
    /// Opens the first connection and brings the schema up to date.
    ///
    /// # Errors
    /// What is wrong with the configuration, or with what it names.
    pub(super) async fn open(config: &StoreConfig) -> Result<Arc<Self>, OpenError> {
        let target = config.target().map_err(OpenError::Url)?;
        let lock = match &target {
            StoreUrl::SurrealKv(directory) => {
                let lock = DirectoryLock::take(directory)?;
                finish_rewrite(directory)?;
                Some(lock)
            }
            StoreUrl::Memory | StoreUrl::Server(_) => None,
        };
        let connection = connect(config, &target).await?;
        Ok(Arc::new(Self {
            config: config.clone(),
            target,
            state: Mutex::new(State { current: Some(connection), ..State::default() }),
            opening: Arc::default(),
            _lock: lock,
        }))
    }

    /// Runs one statement and returns its value. Getting a connection and running the statement may
    /// each take up to `store.timeout`.
    ///
    /// # Errors
    /// What is known about the outcome.
    pub(super) async fn query(
        self: &Arc<Self>,
        statement: &'static str,
        variables: Variables,
    ) -> Result<Value, Failure> {
        let timeout = self.config.timeout;
        let connection = match tokio::time::timeout(timeout, self.connection()).await {
            Ok(connection) => connection.map_err(Failure::NotSent)?,
            Err(_) => {
                let why = format!("no connection to the database within {timeout:?}");
                return Err(Failure::NotSent(why.into()));
            }
        };
        connection.query(statement, variables, timeout).await.map_err(|error| {
            let failure = Failure::from(error);
            if failure.casts_doubt_on_connection() {
                self.give_up(&connection, &failure);
            }
            failure
        })
    }

    /// Runs CPU-bound work on the database's threads, if there are any, so that the caller's thread
    /// stays free.
    ///
    /// # Errors
    /// If the work ended early.
    pub(super) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        match self.current() {
            Some(connection) => connection.compute(work).await,
            None => Ok(work()),
        }
    }

    /// The current connection, or a new one if it was given up.
    async fn connection(self: &Arc<Self>) -> Result<Arc<Connection>, Cause> {
        if let Some(connection) = self.current() {
            return Ok(connection);
        }
        let opening = Arc::clone(&self.opening).lock_owned().await;
        let link = Arc::clone(self);
        // In a task, so that opening continues if the caller's timeout expires: a half-open engine
        // would be in the way of the next one.
        tokio::spawn(async move { link.reopen(opening).await }).await?
    }

    async fn reopen(&self, mut pause: OwnedMutexGuard<Pause>) -> Result<Arc<Connection>, Cause> {
        // The previous holder of the lock may have opened it.
        if let Some(connection) = self.current() {
            return Ok(connection);
        }
        if let Some(why) = self.state().dead.clone() {
            return Err(why.into());
        }
        if let Some(until) = pause.until {
            tokio::time::sleep_until(until).await;
        }
        if matches!(self.target, StoreUrl::SurrealKv(_)) {
            self.wait_until_gone().await;
        }
        match connect(&self.config, &self.target).await {
            Ok(connection) => {
                *pause = Pause::default();
                tracing::info!(url = %self.config.url, "reconnected to the store");
                self.state().current = Some(Arc::clone(&connection));
                Ok(connection)
            }
            Err(error) => {
                pause.failed();
                tracing::warn!(url = %self.config.url, failures = pause.failures, %error, "cannot reconnect to the store");
                if !matches!(self.target, StoreUrl::SurrealKv(_)) {
                    return Err(error.into());
                }
                let why = format!("{error}; restart the process");
                self.state().dead = Some(why.clone());
                Err(why.into())
            }
        }
    }

    /// Two engines on one directory would corrupt it.
    async fn wait_until_gone(&self) {
        let gone = self.state().gone.clone();
        if let Some(mut gone) = gone {
            // An error means that the sender, and with it the engine, is already gone.
            let _gone = gone.wait_for(|gone| *gone).await;
        }
    }

    /// Makes the next call open another connection.
    pub(super) fn give_up(&self, connection: &Arc<Connection>, why: &Failure) {
        // An in-memory database would be lost, and it has no disk that could fail.
        if self.target == StoreUrl::Memory {
            return;
        }
        let mut state = self.state();
        if state.current.as_ref().is_some_and(|current| Arc::ptr_eq(current, connection)) {
            tracing::warn!(url = %self.config.url, %why, "giving up the connection to the store");
            state.gone = Some(connection.gone());
            state.current = None;
        }
    }

    /// The current connection, if it has not been given up.
    pub(super) fn current(&self) -> Option<Arc<Connection>> {
        self.state().current.clone()
    }

    /// Why no call can succeed until the process restarts.
    pub(super) fn dead(&self) -> Option<String> {
        self.state().dead.clone()
    }

    /// Closes the connection and waits until its files are closed.
    pub(super) async fn close(&self) {
        let _opening = self.opening.lock().await;
        let connection = self.state().current.take();
        if let Some(connection) = connection {
            let gone = connection.gone();
            drop(connection);
            self.state().gone = Some(gone);
        }
        self.wait_until_gone().await;
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing that runs under this lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Finishes a rewrite that was interrupted after its new files were complete.
fn finish_rewrite(directory: &Path) -> Result<(), OpenError> {
    match swap::finish(directory) {
        Ok(false) => Ok(()),
        Ok(true) => {
            tracing::info!(directory = %directory.display(), "finished an interrupted rewrite of the store");
            Ok(())
        }
        Err(source) => Err(OpenError::Directory {
            directory: directory.to_owned(),
            what: "finish rewriting",
            source,
        }),
    }
}

/// Opens a connection and brings its schema up to date.
pub(super) async fn connect(
    config: &StoreConfig,
    target: &StoreUrl,
) -> Result<Arc<Connection>, OpenError> {
    let connection = Arc::new(Connection::open(config, target).await?);
    schema::migrate(&connection, config, target).await?;
    Ok(connection)
}

impl Pause {
    /// Doubles the longest pause and picks one between half of it and all of it at random, so that
    /// several nodes do not come back in step.
    fn failed(&mut self) {
        let longest = FIRST_PAUSE.saturating_mul(1 << self.failures.min(10)).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        // If there is no randomness, the pause is as long as possible.
        let share = getrandom::u32().map_or(1.0, |bits| f64::from(bits) / f64::from(u32::MAX));
        self.until = Some(Instant::now() + longest.mul_f64(0.5 + share / 2.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_limit() {
        let mut pause = Pause::default();
        let mut length = Vec::new();
        for _ in 0..40 {
            let before = Instant::now();
            pause.failed();
            length.push(pause.until.unwrap() - before);
        }
        assert!(length[0] <= FIRST_PAUSE + Duration::from_millis(20), "{:?}", length[0]);
        assert!(
            length[39] >= LONGEST_PAUSE / 2
                && length[39] <= LONGEST_PAUSE + Duration::from_millis(20),
            "{:?}",
            length[39]
        );
    }
}
