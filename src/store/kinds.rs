//! Which behaviour the stored entities of a kind have: a log makes no sense to another one.
//!
//! It is noted in the transaction that writes the kind's first events. Databases of earlier
//! versions have no notes; there the first event tells.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use greenroom_actors::behaviour::BehaviourConfig;
use greenroom_actors::kind::Kinds;
use greenroom_actors::store::{Batch, StoreError};
use surrealdb::types::{RecordId, SurrealValue, Value, Variables};

use super::OpenError;
use super::failure::Failure;
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

/// The configured kinds that the database has no note of, with their behaviours.
#[derive(Default)]
pub(super) struct Unnoted(Mutex<BTreeMap<&'static str, &'static str>>);

impl Unnoted {
    /// Takes up the configured kinds, and compares them with what is stored.
    ///
    /// # Errors
    /// Where the entities of a kind have another behaviour.
    pub(super) async fn take_up(&self, link: &Arc<Link>, kinds: &Kinds) -> Result<(), OpenError> {
        let unreadable = |reason: String| OpenError::Kinds { reason };
        let found = query(link, NOTES, Variables::new()).await.map_err(unreadable)?;
        let notes: Vec<(String, String)> =
            SurrealValue::from_value(found).map_err(|error| unreadable(error.to_string()))?;
        let mut kinds: Vec<_> = kinds.iter().collect();
        kinds.sort_by_key(|kind| kind.name);
        for kind in kinds {
            let configured = kind.behaviour.name();
            let noted = notes
                .iter()
                .find(|(name, _)| name == kind.name)
                .map(|(_, behaviour)| behaviour.clone());
            let stored = match noted.clone() {
                Some(noted) => Some(noted),
                None => {
                    first_behaviour(link, kind.name).await.map_err(unreadable)?.map(str::to_owned)
                }
            };
            match stored {
                Some(stored) if stored != configured => {
                    return Err(OpenError::Behaviour {
                        kind: kind.name.to_owned(),
                        stored,
                        configured,
                    });
                }
                _ if noted.is_none() => drop(self.lock().insert(kind.name, configured)),
                _ => {}
            }
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, &'static str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rows that are to be written with this batch: most have none.
    pub(super) fn rows(&self, batch: &Batch) -> Vec<Value> {
        let unnoted = self.lock();
        if unnoted.is_empty() {
            return Vec::new();
        }
        let first = unnoted
            .iter()
            .filter(|(kind, _)| batch.rows.iter().any(|row| row.entity.kind() == **kind));
        let row = |(kind, behaviour): (&&str, &&str)| {
            KindRecord { id: RecordId::new("kind", *kind), behaviour: (*behaviour).to_owned() }
                .into_value()
        };
        first.map(row).collect()
    }

    /// The batch is written.
    pub(super) fn written(&self, batch: &Batch) {
        let mut unnoted = self.lock();
        if !unnoted.is_empty() {
            unnoted.retain(|kind, _| batch.rows.iter().all(|row| row.entity.kind() != *kind));
        }
    }
}

/// The behaviour whose op the first event of a kind is.
async fn first_behaviour(link: &Arc<Link>, kind: &str) -> Result<Option<&'static str>, String> {
    #[derive(serde::Deserialize)]
    struct First {
        r#type: String,
    }
    let mut variables = Variables::new();
    variables.insert("kind", kind);
    let rows: Vec<String> = SurrealValue::from_value(query(link, FIRST_ROW, variables).await?)
        .map_err(|error| error.to_string())?;
    let Some(events) = rows.first() else { return Ok(None) };
    let mut events =
        serde_json::Deserializer::from_str(events.trim_start_matches('[')).into_iter::<First>();
    // A row that cannot be read is found out when its entity is.
    Ok(events
        .next()
        .and_then(Result::ok)
        .and_then(|first| BehaviourConfig::name_by_op(&first.r#type)))
}

async fn query(
    link: &Arc<Link>,
    statement: &'static str,
    variables: Variables,
) -> Result<Value, String> {
    link.query(statement, variables)
        .await
        .map_err(|failure: Failure| StoreError::Unavailable(failure.to_string()).to_string())
}
