//! Takes the place of the server's link to the database: keeps what the server would send, and
//! sends nothing.
//!
//! So the statement and the variables of a transaction are made by the server's own code, and their
//! making is part of what is measured.

use std::future::{Ready, ready};
use std::sync::{Arc, Mutex, PoisonError};

use greenroom_actors::store::Batch;
use surrealdb::types::{Value, Variables};

use super::failure::Failure;
use super::{Result, commit};

/// What the server would have sent.
#[derive(Debug)]
pub struct Said {
    /// The statement.
    pub statement: &'static str,
    /// What is bound to it.
    pub variables: Variables,
}

/// Keeps the latest statement.
#[derive(Debug, Default)]
pub struct Link(Mutex<Option<Said>>);

impl Link {
    /// As the server's link, but answers at once that all went well.
    pub fn query(
        self: &Arc<Self>,
        statement: &'static str,
        variables: Variables,
    ) -> Ready<std::result::Result<Value, Failure>> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Said { statement, variables });
        ready(Ok(Value::None))
    }

    /// What the server says to write `batch`.
    ///
    /// # Errors
    /// Where it says nothing.
    pub async fn said(self: &Arc<Self>, batch: &Batch) -> Result<Said> {
        commit::commit(self, batch, commit::Beside::default()).await?;
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(said.ok_or("the server's commit sends nothing to its link")?)
    }
}
