//! The map of a cluster as the database has it, version by version: no slot may be given to two.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::sleep;

use super::cluster::{BASIC_AUTH, DATABASE};

/// How often the map is read; each version is written down by the nodes besides.
const EVERY: Duration = Duration::from_millis(100);
const MAP: &str = "SELECT version, text FROM map:current";
const LOG: &str = "SELECT VALUE record::id(id) FROM map_log";

/// The row of the map.
#[derive(Debug, Deserialize)]
struct Row {
    version: u64,
    text: String,
}

/// What of a map counts here.
#[derive(Debug, Deserialize)]
struct Map {
    version: u64,
    slots: Vec<u16>,
    peers: Vec<Peer>,
}

#[derive(Debug, Deserialize)]
struct Peer {
    number: u16,
    id: String,
}

/// The versions that were seen.
#[derive(Debug, Default)]
pub struct Maps {
    seen: BTreeMap<u64, String>,
    last: u64,
    pub wrong: Vec<String>,
}

impl Maps {
    /// Reads the map again and again.
    pub async fn watch(&mut self, database: SocketAddr) {
        loop {
            // Without a database, or before the first node, there is none.
            if let Ok(rows) = query::<Row>(database, MAP).await {
                rows.into_iter().for_each(|row| self.see(row));
            }
            sleep(EVERY).await;
        }
    }

    fn see(&mut self, Row { version, text }: Row) {
        if version < self.last {
            self.wrong.push(format!("the map went back from version {} to {version}", self.last));
        }
        self.last = version;
        match self.seen.get(&version) {
            Some(before) if *before == text => return,
            Some(_) => self.wrong.push(format!("there were two maps of version {version}")),
            None => {}
        }
        match serde_json::from_str::<Map>(&text) {
            Ok(map) => self.wrong.extend(judge(version, &map)),
            Err(error) => self.wrong.push(format!("map {version} cannot be read: {error}")),
        }
        self.seen.insert(version, text);
    }

    /// Compares what was seen with the log of versions in the database; returns how many there are.
    pub async fn end(&mut self, database: SocketAddr) -> Result<u64> {
        let mut log = query::<u64>(database, LOG).await.context("the log of maps")?;
        log.sort_unstable();
        self.compare(&log);
        Ok(log.len() as u64)
    }

    /// Every version was made once, by one change of the one before.
    fn compare(&mut self, log: &[u64]) {
        if !log.iter().copied().eq(1..=log.len() as u64) {
            self.wrong.push(format!("the log of maps has {} versions with gaps", log.len()));
        }
        let missing = self.seen.keys().find(|version| !log.contains(version));
        self.wrong.extend(missing.map(|version| format!("the log of maps lacks {version}")));
    }
}

fn judge(version: u64, map: &Map) -> Option<String> {
    let numbers: BTreeSet<_> = map.peers.iter().map(|peer| peer.number).collect();
    let ids: BTreeSet<_> = map.peers.iter().map(|peer| &peer.id).collect();
    let stray = map.slots.iter().position(|owner| *owner != 0 && !numbers.contains(owner));
    if map.version != version {
        Some(format!("map {version} says that it is {}", map.version))
    } else if numbers.len() < map.peers.len() || ids.len() < map.peers.len() {
        Some(format!("map {version} gives slots to two nodes"))
    } else {
        stray.map(|slot| format!("map {version} gives slot {slot} to a node that is not in it"))
    }
}

/// What a statement returns, over HTTP.
async fn query<T: DeserializeOwned + Send + 'static>(
    database: SocketAddr,
    statement: &'static str,
) -> Result<Vec<T>> {
    #[derive(Deserialize)]
    struct Answer {
        status: String,
        result: serde_json::Value,
    }
    let ask = move || {
        let config =
            ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(2))).build();
        let request = ureq::Agent::new_with_config(config)
            .post(format!("http://{database}/sql"))
            .header("authorization", BASIC_AUTH)
            .header("accept", "application/json")
            .header("surreal-ns", DATABASE)
            .header("surreal-db", DATABASE);
        let text = request.send(statement)?.body_mut().read_to_string()?;
        let answer = serde_json::from_str::<Vec<Answer>>(&text)?.pop().context("no answer")?;
        if answer.status != "OK" {
            bail!("the database says {}", answer.result);
        }
        Ok(serde_json::from_value(answer.result)?)
    };
    tokio::task::spawn_blocking(ask).await.context("the task that asks the database failed")?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(version: u64, slots: &str, peers: &[(u16, &str)]) -> Row {
        let peers: Vec<_> = peers
            .iter()
            .map(|(number, id)| serde_json::json!({ "number": number, "id": id, "term": 1 }))
            .collect();
        let peers = serde_json::to_string(&peers).expect("it serializes");
        let text = format!(r#"{{"version":{version},"slots":{slots},"peers":{peers},"pins":[]}}"#);
        Row { version, text }
    }

    #[test]
    fn maps_that_contradict_each_other_are_found() {
        let two: &[_] = &[(1, "a"), (2, "b")];
        let good = || vec![row(1, "[1,1]", &[(1, "a")]), row(2, "[1,2]", two)];
        let with = |more: Row| good().into_iter().chain([more]).collect();
        let table: [(Vec<Row>, &[u64], &str); 9] = [
            (good(), &[1, 2], ""),
            (with(row(2, "[1,2]", two)), &[1, 2], ""),
            (with(row(2, "[2,2]", two)), &[1, 2], "there were two maps of version 2"),
            (with(row(1, "[1,1]", &[(1, "a")])), &[1, 2], "the map went back from version 2 to 1"),
            (
                with(row(3, "[1,3]", two)),
                &[1, 2, 3],
                "map 3 gives slot 1 to a node that is not in it",
            ),
            (
                with(row(3, "[1,0]", &[(1, "a"), (1, "b")])),
                &[1, 2, 3],
                "map 3 gives slots to two nodes",
            ),
            (good(), &[2], "the log of maps has 1 versions with gaps"),
            (with(row(3, "[1,0]", two)), &[1, 2], "the log of maps lacks 3"),
            (with(Row { version: 3, text: "?".into() }), &[1, 2, 3], "map 3 cannot be read"),
        ];
        for (rows, log, want) in table {
            let mut maps = Maps::default();
            rows.into_iter().for_each(|row| maps.see(row));
            maps.compare(log);
            let first = maps.wrong.first().map_or("", String::as_str);
            assert!(first.starts_with(want) && first.is_empty() == want.is_empty(), "{first}");
        }
    }
}
