//! Builds a [`Kind`] from each `[kinds.NAME]`.
//!
//! The settings, their defaults and the core's checks are in [`greenroom_actors::kind`] and
//! [`greenroom_actors::behaviour`]. This module reads them from one table and adds the server's
//! checks.

use std::collections::BTreeMap;
use std::time::Duration;

use figment::value::{Dict, Value};
use greenroom_actors::behaviour::{BehaviourConfig, BehaviourName};
use greenroom_actors::kind::{Kind, Kinds, Settings};
use serde::{Deserialize, Serialize};

use super::reader::Reader;
use super::units::Bytes;
use super::{Problems, SocketConfig};

/// The key for a kind's behaviour.
const BEHAVIOUR: &str = "behaviour";

/// One kind: `[kinds.NAME]`.
///
/// [`load`](super::load) reads it with [`read`], which reports unknown keys and names the key that
/// is wrong; serde alone does neither for flattened structs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KindConfig {
    /// The key `behaviour`, and the settings of that behaviour.
    #[serde(flatten)]
    pub behaviour: BehaviourConfig,
    /// The settings that every kind has.
    #[serde(flatten)]
    pub settings: Settings,
}

impl KindConfig {
    /// A kind with default settings.
    pub fn new(behaviour: BehaviourName) -> Self {
        Self { behaviour: behaviour.with_defaults(), settings: Settings::default() }
    }
}

/// The kinds that exist if none is configured.
pub(super) fn default_kinds() -> BTreeMap<String, KindConfig> {
    BTreeMap::from([
        ("room".to_owned(), KindConfig::new(BehaviourName::Room)),
        ("doc".to_owned(), KindConfig::new(BehaviourName::Document)),
    ])
}

/// Builds the kinds for the core. Kinds with problems are left out, and the problems are added to
/// `problems`.
///
/// The names are leaked: they are labels of metrics, and kinds live as long as the program.
pub(super) fn build(
    kinds: &BTreeMap<String, KindConfig>,
    socket: &SocketConfig,
    problems: &mut Problems,
) -> Kinds {
    let mut built = Vec::new();
    for (name, KindConfig { behaviour, settings }) in kinds {
        let path = format!("kinds.{name}");
        check(&path, settings, socket, problems);
        match Kind::new(String::leak(name.clone()), behaviour.clone(), settings.clone()) {
            Ok(kind) => built.push(kind),
            Err(bad) => problems.add_below(&path, bad.problems),
        }
    }
    Kinds::new(built)
}

/// Reports settings with which a kind could not work together with the socket's, and unreasonable
/// durations. [`Kind::new`] checks what the core needs.
fn check(path: &str, kind: &Settings, socket: &SocketConfig, problems: &mut Problems) {
    let key = |field: &str| format!("{path}.{field}");
    problems.check(kind.max_body_bytes < socket.max_message_bytes, &key("max_body_bytes"), || {
        format!(
            "is {}, but a message of `socket.max_message_bytes` ({}) must have space for the body and its envelope",
            Bytes(kind.max_body_bytes),
            Bytes(socket.max_message_bytes)
        )
    });
    problems.check(kind.dedupe_ops >= socket.max_in_flight, &key("dedupe_ops"), || {
        format!(
            "is {}, below `socket.max_in_flight` ({}): after a reconnect, a client could not learn the outcomes of its ops",
            kind.dedupe_ops, socket.max_in_flight
        )
    });
    problems.at_least(key("max_pending_ops"), kind.max_pending_ops, socket.max_in_flight);
    let ms = Duration::from_millis(1);
    let second = Duration::from_secs(1);
    problems.within(key("presence_interval"), kind.presence_interval, ms, 60 * second);
    problems.within(key("idle_timeout"), kind.idle_timeout, second, 86400 * second);
}

/// All keys of all kinds except `behaviour`, with their defaults.
pub(super) fn defaults() -> Dict {
    let mut all = table_of(&Settings::default());
    for behaviour in BehaviourName::ALL {
        all.extend(keys_of(behaviour));
    }
    all
}

/// The keys that belong to one behaviour, with their defaults.
pub(super) fn keys_of(behaviour: BehaviourName) -> Dict {
    let mut keys = table_of(&behaviour.with_defaults());
    keys.remove(BEHAVIOUR);
    keys
}

fn table_of<T: Serialize>(settings: &T) -> Dict {
    let value = Value::serialize(settings).expect("settings are structs of plain values");
    value.into_dict().expect("a struct becomes a table")
}

/// Reads the kinds in `tables`, the value of the key `kinds`. Wrong values are reported and
/// replaced by defaults, so that the rest can be checked.
pub(super) fn read(tables: Value, reader: &mut Reader<'_>) -> BTreeMap<String, KindConfig> {
    #[derive(Default, Deserialize)]
    struct Tables {
        kinds: BTreeMap<String, Dict>,
    }

    let tables = Dict::from([("kinds".to_owned(), tables)]);
    let Tables { kinds } = reader.read("", tables).unwrap_or_default();
    kinds
        .into_iter()
        .map(|(name, table)| {
            let path = format!("kinds.{name}");
            let settings = read_common(&path, &table, reader);
            (name, KindConfig { behaviour: read_behaviour(&path, &table, reader), settings })
        })
        .collect()
}

/// Reads a kind's behaviour with its settings.
fn read_behaviour(path: &str, table: &Dict, reader: &mut Reader<'_>) -> BehaviourConfig {
    #[derive(Deserialize)]
    struct Named {
        behaviour: BehaviourName,
    }

    let stand_in = BehaviourName::Room.with_defaults();
    let Some(name) = table.get(BEHAVIOUR) else {
        // An unknown key may be a misspelt `behaviour`, and is reported elsewhere.
        if unknown(table).is_empty() {
            let what = "is not set; write \"room\" or \"document\"";
            reader.add(format!("{path}.{BEHAVIOUR}"), what);
        }
        return stand_in;
    };
    let name = Dict::from([(BEHAVIOUR.to_owned(), name.clone())]);
    let Some(Named { behaviour }) = reader.read(path, name) else { return stand_in };
    let own = keys_of(behaviour);
    for other in BehaviourName::ALL {
        for key in part_of(table, &keys_of(other)).keys().filter(|key| !own.contains_key(*key)) {
            let what = format!(
                "belongs to the behaviour \"{other}\", which this kind does not have; leave it out"
            );
            reader.add(format!("{path}.{key}"), &what);
        }
    }
    let own = part_of(table, &own);
    let read = match behaviour {
        BehaviourName::Room => reader.read(path, own).map(BehaviourConfig::Room),
        BehaviourName::Document => reader.read(path, own).map(BehaviourConfig::Document),
    };
    read.unwrap_or(stand_in)
}

/// Reads the settings that every kind has, and reports keys that no kind has.
fn read_common(path: &str, table: &Dict, reader: &mut Reader<'_>) -> Settings {
    let known = defaults();
    let known: Vec<_> = [BEHAVIOUR].into_iter().chain(known.keys().map(String::as_str)).collect();
    for key in unknown(table) {
        let what = format!("is not a key; there are `{}`", known.join("`, `"));
        reader.add(format!("{path}.{key}"), &what);
    }
    reader.read(path, part_of(table, &table_of(&Settings::default()))).unwrap_or_default()
}

/// The keys in `table` that no kind has.
fn unknown(table: &Dict) -> Vec<&String> {
    let known = defaults();
    table.keys().filter(|key| *key != BEHAVIOUR && !known.contains_key(*key)).collect()
}

/// The values in `table` whose keys are in `keys`.
fn part_of(table: &Dict, keys: &Dict) -> Dict {
    table
        .iter()
        .filter(|(key, _)| keys.contains_key(*key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}
