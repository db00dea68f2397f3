//! One transaction after the other, as the committer writes them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use greenroom_actors::store::{Batch, Fence};
use surrealdb::Surreal;
use surrealdb::engine::any::Any;
use surrealdb::types::{Object, Value, Variables};

use super::Result;
use super::engine::Engine;
use super::link::Link;
use super::log::Log;
use super::variant::Variant;

/// The fence row in the server's statements.
const LEASE: &str = "lease:node";

/// A writer with entities and a fence row of its own.
pub struct Lane {
    variant: Variant,
    logs: Vec<Log>,
    lease: String,
    number: u64,
    link: Arc<Link>,
    /// Back from each transaction that succeeds.
    client: Option<Surreal<Any>>,
    /// The statement, once it is known, where it is not the server's own.
    statement: Option<String>,
    /// How long each transaction took, since this was cleared.
    pub took: Vec<Duration>,
}

impl Lane {
    /// The `index`th writer of `variant`, with ops of `bytes` bytes.
    ///
    /// # Errors
    /// What the database says to the fence row.
    pub async fn open(
        variant: &Variant,
        index: usize,
        bytes: usize,
        engine: &Engine,
    ) -> Result<Self> {
        let logs = (0..variant.entities)
            .map(|i| Log::new(index, i, variant.entities, bytes, variant.snapshots))
            .collect::<Result<_>>()?;
        let lease = if index == 0 { LEASE.to_owned() } else { format!("lease:node_{index}") };
        let client = engine.client();
        let upsert =
            format!("UPSERT {lease} SET term = 1, number = 0, nonce = 0, settled = 0 RETURN NONE");
        let client = engine
            .run(async move {
                client.query(upsert).await?.check()?;
                Ok(client)
            })
            .await?;
        Ok(Self {
            variant: variant.clone(),
            logs,
            lease,
            number: 0,
            link: Arc::default(),
            client: Some(client),
            statement: None,
            took: Vec::new(),
        })
    }

    /// Commits until `end`.
    ///
    /// # Errors
    /// What the database says.
    pub async fn run(&mut self, engine: &Engine, end: Instant) -> Result<()> {
        while Instant::now() < end {
            let (batch, rows) = self.make();
            let begun = Instant::now();
            let (statement, variables) = self.say(&batch, rows).await?;
            self.send(engine, statement, variables).await?;
            self.took.push(begun.elapsed());
        }
        Ok(())
    }

    /// Commits once more, and reads what it wrote.
    ///
    /// # Errors
    /// Where that is not what is there.
    pub async fn check(&mut self, engine: &Engine) -> Result<()> {
        let (batch, rows) = self.make();
        let (statement, variables) = self.say(&batch, rows).await?;
        let wanted = last_row(&variables).ok_or("the server's transaction has no rows")?;
        self.send(engine, statement, variables).await?;
        let client = engine.client();
        let (id, lease) = (wanted.get("id").cloned(), self.lease.clone());
        let (found, number) = engine
            .run(async move {
                let mut results = client
                    .query(format!(
                        "SELECT * FROM ONLY $row; RETURN (SELECT VALUE number FROM ONLY {lease})"
                    ))
                    .bind(("row", id))
                    .await?
                    .check()?;
                Ok((results.take::<Value>(0)?, results.take::<Option<i64>>(1)?))
            })
            .await?;
        if found != Value::Object(wanted.clone()) {
            return Err(format!(
                "the row that was written is not there: {wanted:?} was, {found:?} is"
            )
            .into());
        }
        let fenced = self.variant.sending.is_fenced();
        if fenced && number.and_then(|number| u64::try_from(number).ok()) != Some(self.number) {
            return Err(format!(
                "{} transactions were counted, and {number:?} by the database",
                self.number
            )
            .into());
        }
        Ok(())
    }

    /// Transactions so far.
    pub fn transactions(&self) -> u64 {
        self.number
    }

    /// The next transaction: as the server knows it, and the rows of shapes that the server does
    /// not know.
    fn make(&mut self) -> (Batch, Vec<Value>) {
        self.number += 1;
        let fence = Fence { term: 1, number: self.number, nonce: fastrand::u64(1..1 << 53) };
        let mut batch = Batch {
            fence,
            rows: Vec::new(),
            snapshots: Vec::new(),
            trims: Vec::new(),
            erasures: Vec::new(),
            rewrites: Vec::new(),
        };
        let mut rows = Vec::new();
        for log in &mut self.logs {
            if self.variant.shape.is_servers() {
                batch.rows.push(log.pack(self.variant.ops_each));
            } else {
                rows.append(&mut self.variant.shape.rows(log, self.variant.ops_each));
            }
            batch
                .snapshots
                .extend(self.variant.snapshots.and_then(|snapshots| log.snapshot(snapshots)));
        }
        (batch, rows)
    }

    async fn say(&mut self, batch: &Batch, rows: Vec<Value>) -> Result<(String, Variables)> {
        let mut said = self.link.said(batch).await?;
        if !self.variant.shape.is_servers() {
            said.variables.insert("rows", rows);
        }
        // Only the variants with snapshots have more than one statement, and they have the server's
        // own.
        if self.variant.snapshots.is_some() {
            return Ok((said.statement.to_owned(), said.variables));
        }
        let statement = match &self.statement {
            Some(statement) => statement,
            None => {
                let statement =
                    self.variant.sending.statement(said.statement)?.replace(LEASE, &self.lease);
                self.statement.insert(statement)
            }
        };
        Ok((statement.clone(), said.variables))
    }

    async fn send(
        &mut self,
        engine: &Engine,
        statement: String,
        variables: Variables,
    ) -> Result<()> {
        let client = self.client.take().ok_or("an earlier transaction failed")?;
        self.client =
            Some(engine.run(self.variant.sending.send(client, statement, variables)).await?);
        Ok(())
    }
}

fn last_row(variables: &Variables) -> Option<Object> {
    let Some(Value::Array(rows)) = variables.get("rows") else { return None };
    let Some(Value::Object(row)) = rows.last() else { return None };
    Some(row.clone())
}
