//! The rows on which the nodes of a cluster agree: `lease:[node, lane]` and `map:current`, with
//! `map_log` for people.
//!
//! Each change is one block, and so one SurrealDB transaction. It writes every row that it compares,
//! because SurrealDB's engines find conflicts between writes only: of two transactions that compare
//! one version of the map, both write the map's row, and one is refused.

use std::sync::Arc;

use async_trait::async_trait;
use greenroom_actors::cluster::change::{Change, Fence as Raised};
use greenroom_actors::cluster::map::{ClusterMap, LeaseRow, NodeId, Term};
use greenroom_actors::cluster::membership::{Join, View};
use greenroom_actors::cluster::registry::{ChangeError, Note, Registry};
use greenroom_actors::store::{Cause, CommitError, Fence, StoreError};
use surrealdb::types::{SurrealValue, Value, Variables};

use super::commit::{fence_variables, is_other_term};
use super::failure::Failure;
use super::lease::LeaseKey;
use super::link::Link;
use super::rows::int;

/// The lane whose lease row shows that a node is alive.
const LANE: u16 = 0;

/// How often to retry after a conflict with another transaction: each time one of those that were in
/// conflict has made progress.
const CONFLICT_TRIES: u32 = 5;

const VIEW: &str = "{
    LET $map = (SELECT VALUE text FROM ONLY map:current);
    LET $leases = (SELECT VALUE [record::id(id), term, number] FROM lease);
    RETURN [$map, $leases];
}";

/// The map's row, which is there or is not. `$expects` is 0 for a map that is not there yet.
macro_rules! write_map {
    () => {
        "
    LET $version = (SELECT VALUE version FROM ONLY map:current) ?? 0;
    IF $version != $expects { THROW 'the map has version ' + <string> $version + ', not ' + <string> $expects };
    LET $map = (UPSERT map:current SET version = $expects + 1, text = $text RETURN VALUE version);
    IF array::len($map) != 1 { THROW 'the user may not write; it needs the role EDITOR' };
    UPSERT type::record('map_log', $expects + 1) SET at = $at, by = $by, what = $what RETURN NONE;"
    };
}

/// The lease of a server without a cluster is raised too, so that one that was forgotten can write
/// nothing more.
const JOIN: &str = concat!(
    "{
    LET $found = (SELECT VALUE [term, number] FROM ONLY $lease) ?? [0, 0];
    IF $found != $seen { THROW 'the node has a lease at ' + <string> $found + ', not ' + <string> $seen };",
    write_map!(),
    "
    LET $own = (UPSERT $lease SET term = $term, number = 0, nonce = 0, settled = 0 RETURN VALUE term);
    IF array::len($own) != 1 { THROW 'the user may not write; it needs the role EDITOR' };
    UPDATE lease:node SET term += 1, number = 0, nonce = 0 RETURN NONE;
    RETURN NONE;
}"
);

const CHANGE: &str = concat!(
    "{
    LET $own = (UPDATE $lease SET number = $number, nonce = $nonce WHERE term = $term AND number = $number - 1 RETURN VALUE number);
    IF array::len($own) != 1 { THROW 'the lease is at ' + <string> ((SELECT VALUE [term, number] FROM ONLY $lease) ?? [0, 0]) };
    FOR $raise IN $raises {
        LET $raised = (UPDATE $raise.lease SET term = $raise.term + 1, number = 0, nonce = 0 WHERE term = $raise.term AND number = $raise.number RETURN VALUE term);
        IF array::len($raised) != 1 { THROW 'a lease that was to be raised has moved' };
    };",
    write_map!(),
    "
    RETURN NONE;
}"
);

/// A lease whose term is to be raised.
#[derive(SurrealValue)]
struct Raise {
    lease: Value,
    term: i64,
    number: i64,
}

/// A [`Registry`] over the same database as a [`SurrealStore`](super::SurrealStore). It may have a
/// connection of its own, so that no page stands before a poll.
pub struct SurrealRegistry {
    link: Arc<Link>,
}

impl SurrealRegistry {
    pub(super) const fn new(link: Arc<Link>) -> Self {
        Self { link }
    }
}

fn lease_key(node: NodeId) -> LeaseKey {
    LeaseKey::Node { id: node.0, lane: LANE }
}

fn map_variables(variables: &mut Variables, change: &Change, note: &Note) -> Result<(), Cause> {
    variables.insert("expects", int(change.expects));
    variables.insert("text", serde_json::to_string(&change.map)?);
    variables.insert("at", int(note.at));
    variables.insert("by", note.by.to_string());
    variables.insert("what", note.what.clone());
    Ok(())
}

fn corrupt(why: impl Into<Cause>) -> StoreError {
    StoreError::Corrupt(why.into())
}

/// A lease row's key as it is in the view; `None` for rows of a server without a cluster, or of
/// other lanes.
fn node_of(key: Value) -> Option<NodeId> {
    let (node, lane) = <(String, i64)>::from_value(key).ok()?;
    (lane == i64::from(LANE)).then(|| node.parse().ok()).flatten()
}

fn view_of(value: Value) -> Result<View, StoreError> {
    type Row = (Value, i64, i64);
    let (map, leases) = <(Option<String>, Vec<Row>)>::from_value(value)
        .map_err(|error| corrupt(format!("the view of the cluster cannot be read: {error}")))?;
    let map = match map {
        Some(text) => serde_json::from_str::<ClusterMap>(&text)
            .map_err(|error| corrupt(format!("`map:current` cannot be read: {error}")))?,
        None => ClusterMap::empty(),
    };
    map.validate().map_err(|error| corrupt(format!("`map:current` makes no sense: {error}")))?;
    let lease = |(key, term, number): Row| {
        let node = node_of(key)?;
        let term = Term(u64::try_from(term).ok()?);
        Some((node, LeaseRow { term, number: u64::try_from(number).ok()? }))
    };
    Ok(View { map, leases: leases.into_iter().filter_map(lease).collect() })
}

#[async_trait]
impl Registry for SurrealRegistry {
    async fn view(&self) -> Result<View, StoreError> {
        let found = self.link.query(VIEW, Variables::new()).await;
        view_of(found.map_err(|failure| StoreError::Unavailable(failure.into()))?)
    }

    async fn join(&self, node: NodeId, join: &Join, note: &Note) -> Result<(), ChangeError> {
        let seen = join.lease.unwrap_or(LeaseRow { term: Term(0), number: 0 });
        let mut variables = Variables::new();
        variables.insert("lease", lease_key(node).record());
        variables.insert("seen", vec![int(seen.term.0), int(seen.number)]);
        variables.insert("term", int(join.term.0));
        map_variables(&mut variables, &join.change, note).map_err(ChangeError::Refused)?;
        self.run(JOIN, variables, |_| false).await
    }

    async fn change(
        &self,
        node: NodeId,
        fence: Fence,
        change: &Change,
        note: &Note,
    ) -> Result<(), ChangeError> {
        let raise = |(node, raised): &(NodeId, Raised)| match raised {
            Raised::Raise(row) => Some(Raise {
                lease: lease_key(*node).record(),
                term: int(row.term.0),
                number: int(row.number),
            }),
            Raised::OwnNumber => None,
        };
        let raises: Vec<Value> =
            change.fences.iter().filter_map(raise).map(SurrealValue::into_value).collect();
        let mut variables = fence_variables(lease_key(node), fence);
        variables.insert("raises", raises);
        map_variables(&mut variables, change, note).map_err(ChangeError::Refused)?;
        self.run(CHANGE, variables, |error| is_other_term(error, fence)).await
    }
}

impl SurrealRegistry {
    async fn run(
        &self,
        statement: &'static str,
        variables: Variables,
        fenced: impl Fn(&surrealdb::Error) -> bool + Send,
    ) -> Result<(), ChangeError> {
        let mut tries = 0;
        loop {
            match self.link.query(statement, variables.clone()).await {
                Ok(_) => return Ok(()),
                // A conflict with another transaction: the next attempt compares what that wrote.
                Err(Failure::Refused(_)) if tries < CONFLICT_TRIES => tries += 1,
                Err(Failure::Thrown(error)) if fenced(&error) => {
                    return Err(CommitError::Fenced(error.into()).into());
                }
                Err(Failure::Thrown(error)) => return Err(ChangeError::Refused(error.into())),
                Err(failure @ (Failure::Refused(_) | Failure::NotSent(_))) => {
                    return Err(CommitError::Failed(failure.into()).into());
                }
                Err(failure @ Failure::Lost(_)) => {
                    return Err(CommitError::Unknown(failure.into()).into());
                }
            }
        }
    }
}
