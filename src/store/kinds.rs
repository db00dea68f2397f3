//! Records the behaviour of each kind in the database, because a log only makes sense to the
//! behaviour that wrote it.
//!
//! It is recorded in the transaction that writes the kind's first events. Databases of earlier
//! versions have no such records; there, the type of the first event shows the behaviour.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use greenroom_actors::behaviour::BehaviourName;
use greenroom_actors::kind::Kinds;
use greenroom_actors::store::{Batch, StoreError};
use surrealdb::types::{RecordId, SurrealValue, Value, Variables};

use super::OpenError;
use super::error::Cause;
use super::link::Link;

const NOTES: &str = "SELECT VALUE [record::id(id), behaviour] FROM kind";

/// The first row of a kind. Ids of entities are ASCII.
const FIRST_ROW: &str = "SELECT VALUE events FROM type::record('journal', [$kind, '', 0]..=[$kind, '\u{7f}', 9223372036854775807]) LIMIT 1";

/// A row of the table `kind`.
#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
struct KindRecord {
    id: RecordId,
    behaviour: String,
}

/// The configured kinds that the database has no record of, with their behaviours.
#[derive(Default)]
pub(super) struct Unnoted(Mutex<BTreeMap<&'static str, BehaviourName>>);

impl Unnoted {
    /// Compares the configured kinds with the stored ones, and remembers those without a record.
    ///
    /// # Errors
    /// If the entities of a kind have another behaviour, or the records cannot be read.
    pub(super) async fn take_up(&self, link: &Arc<Link>, kinds: &Kinds) -> Result<(), OpenError> {
        let unreadable = |source: Cause| OpenError::Kinds { source };
        let found = query(link, NOTES, Variables::new()).await.map_err(unreadable)?;
        let notes: Vec<(String, String)> =
            SurrealValue::from_value(found).map_err(|error| unreadable(error.into()))?;
        let notes: BTreeMap<_, _> = notes.into_iter().collect();
        let mut kinds: Vec<_> = kinds.iter().collect();
        kinds.sort_by_key(|kind| kind.name());
        for kind in kinds {
            let name = kind.name();
            let configured = kind.behaviour().name();
            let stored = match notes.get(name) {
                Some(noted) => Some(noted.clone()),
                None => {
                    self.lock().insert(name, configured);
                    let first = first_behaviour(link, name).await.map_err(unreadable)?;
                    first.map(|behaviour| behaviour.to_string())
                }
            };
            if let Some(stored) = stored.filter(|stored| stored != configured.as_str()) {
                return Err(OpenError::Behaviour { kind: name.to_owned(), stored, configured });
            }
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, BehaviourName>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rows to be written with this batch; most batches have none.
    pub(super) fn rows(&self, batch: &Batch) -> Vec<Value> {
        let unnoted = self.lock();
        if unnoted.is_empty() {
            return Vec::new();
        }
        let first = unnoted
            .iter()
            .filter(|(kind, _)| batch.rows.iter().any(|row| row.entity.kind() == **kind));
        let row = |(kind, behaviour): (&&str, &BehaviourName)| {
            KindRecord { id: RecordId::new("kind", *kind), behaviour: behaviour.to_string() }
                .into_value()
        };
        first.map(row).collect()
    }

    /// Forgets the kinds that were recorded with this batch.
    pub(super) fn written(&self, batch: &Batch) {
        let mut unnoted = self.lock();
        if !unnoted.is_empty() {
            unnoted.retain(|kind, _| batch.rows.iter().all(|row| row.entity.kind() != *kind));
        }
    }
}

/// The behaviour of a kind, by the type of its first event.
async fn first_behaviour(link: &Arc<Link>, kind: &str) -> Result<Option<BehaviourName>, Cause> {
    #[derive(serde::Deserialize)]
    struct First {
        r#type: String,
    }
    let mut variables = Variables::new();
    variables.insert("kind", kind);
    let rows: Vec<String> = SurrealValue::from_value(query(link, FIRST_ROW, variables).await?)?;
    let Some(events) = rows.first() else { return Ok(None) };
    let mut events =
        serde_json::Deserializer::from_str(events.trim_start_matches('[')).into_iter::<First>();
    // A row that cannot be read is reported when its entity is loaded.
    Ok(events.next().and_then(Result::ok).and_then(|first| BehaviourName::by_op(&first.r#type)))
}

async fn query(
    link: &Arc<Link>,
    statement: &'static str,
    variables: Variables,
) -> Result<Value, Cause> {
    let found = link.query(statement, variables).await;
    found.map_err(|failure| StoreError::Unavailable(failure.into()).into())
}
