//! How a transaction is put to the database.

use surrealdb::Surreal;
use surrealdb::engine::any::Any;
use surrealdb::types::{Value, Variables};

use super::Result;

/// The statement that writes the rows, as the server's transaction has it.
const INSERT: &str = "INSERT INTO journal $rows RETURN NONE;";

/// Ways to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sending {
    /// One block of SurrealQL: what the server does.
    Block,
    /// The same statements between `BEGIN` and `COMMIT`.
    BeginCommit,
    /// `BEGIN` to `COMMIT` by the SDK's own calls, the rows by its `insert`.
    SdkTransaction,
    /// The rows alone, with nothing that fences them.
    Insert,
    /// The rows alone, by the SDK's `insert`, which answers with all of them.
    SdkInsert,
}

impl Sending {
    /// Whether it moves the fence row.
    pub fn is_fenced(self) -> bool {
        !matches!(self, Self::Insert | Self::SdkInsert)
    }

    /// What is sent instead of the server's `block`.
    ///
    /// # Errors
    /// Where the server's block has become another than this knows to take apart.
    pub fn statement(self, block: &str) -> Result<String> {
        let unknown = || format!("the server's transaction is none that this knows: {block}");
        let inner = block
            .strip_prefix('{')
            .and_then(|block| block.strip_suffix('}'))
            .ok_or_else(unknown)?;
        let (fence, rest) = inner.split_once(INSERT).ok_or_else(unknown)?;
        if rest.trim() != "RETURN NONE;" {
            return Err(unknown().into());
        }
        Ok(match self {
            Self::Block => block.to_owned(),
            Self::BeginCommit => format!("BEGIN; {fence} {INSERT} COMMIT;"),
            Self::SdkTransaction => fence.to_owned(),
            Self::Insert | Self::SdkInsert => INSERT.to_owned(),
        })
    }

    /// Sends it, and gives the client back when it is committed.
    ///
    /// # Errors
    /// What the database says.
    pub async fn send(
        self,
        client: Surreal<Any>,
        statement: String,
        mut variables: Variables,
    ) -> surrealdb::Result<Surreal<Any>> {
        match self {
            Self::Block | Self::BeginCommit | Self::Insert => {
                client.query(statement).bind(variables).await?.check()?;
                Ok(client)
            }
            Self::SdkTransaction => {
                let rows = take_rows(&mut variables);
                let transaction = client.begin().await?;
                transaction.query(statement).bind(variables).await?.check()?;
                let _rows: Vec<Value> = transaction.insert("journal").content(rows).await?;
                transaction.commit().await
            }
            Self::SdkInsert => {
                let _rows: Vec<Value> =
                    client.insert("journal").content(take_rows(&mut variables)).await?;
                Ok(client)
            }
        }
    }
}

fn take_rows(variables: &mut Variables) -> Value {
    std::mem::take(variables).into_iter().fold(Value::None, |rows, (name, value)| {
        if name == "rows" {
            return value;
        }
        variables.insert(name, value);
        rows
    })
}
