//! What needs no answer: control messages for entities, and what relays tell each other.

use std::sync::Arc;

use bytes::Bytes;
use greenroom_protocol::{CodecKind, EntityId, Position, RawJson};
use serde::{Deserialize, Serialize};

use super::packed::{Collected, pack, unpack};
use super::{BadItem, Nodes, SessionName, SpecName};
use crate::ids::{NodeIndex, SessionKey};
use crate::messages::{Adopt, CatchUp, Owner, Present, Subscriptions, ToEntity};

/// One such message, with sessions as this process names them.
#[derive(Debug)]
pub enum Tell {
    /// A control message for an entity, in this round of its slot: see
    /// [`asks`](crate::cluster::asks).
    Entity(EntityId, ToEntity, u32),
    /// An entity has forgotten its audience, and if it has ended also who is present.
    AudienceForgotten { entity: EntityId, ended: bool },
    /// A session asks for the place of another one on the receiving node.
    Resume { from: SessionKey, to: SessionKey, owner: Owner },
    /// The outcome of that: who had the place, and where it was present; `None` if there is no such
    /// session.
    Resumed { to: SessionKey, owner: Owner, taken: Option<(SessionKey, Vec<(EntityId, RawJson)>)> },
}

#[derive(Debug, Serialize, Deserialize)]
enum Head {
    #[serde(rename = "cu")]
    CatchUp(
        #[serde(deserialize_with = "EntityId::deserialize_internal")] EntityId,
        SpecName,
        bool,
        Position,
        bool,
    ),
    #[serde(rename = "uf")]
    Unfollow(
        #[serde(deserialize_with = "EntityId::deserialize_internal")] EntityId,
        SessionName,
        Option<u32>,
    ),
    #[serde(rename = "ad")]
    Adopt(
        #[serde(deserialize_with = "EntityId::deserialize_internal")] EntityId,
        SessionName,
        SessionName,
        Arc<str>,
        RawJson,
    ),
    #[serde(rename = "lv")]
    Leave(#[serde(deserialize_with = "EntityId::deserialize_internal")] EntityId, SessionName),
    #[serde(rename = "gn")]
    Gone(#[serde(deserialize_with = "EntityId::deserialize_internal")] EntityId, SessionName),
    #[serde(rename = "fg")]
    Forgotten(#[serde(deserialize_with = "EntityId::deserialize_internal")] EntityId, bool),
    #[serde(rename = "rs")]
    Resume(SessionName, SessionName, Arc<str>, Arc<str>),
    #[serde(rename = "rd")]
    Resumed(SessionName, Arc<str>, Arc<str>, Option<(SessionName, Vec<(EntityId, RawJson)>)>),
}

/// The body of an item with one such message; `None` for requests, which are
/// [`Ask`](super::Ask)s, and for what never leaves a node.
pub fn tell_to_item(tell: &Tell, nodes: &impl Nodes) -> Option<Bytes> {
    match tell {
        Tell::Entity(entity, message, round) => control_to_item(entity, message, *round, nodes),
        Tell::AudienceForgotten { .. } | Tell::Resume { .. } | Tell::Resumed { .. } => {
            relay_to_item(tell, nodes)
        }
    }
}

/// The same for a control message of an entity, which need not be moved for that.
pub fn control_to_item(
    entity: &EntityId,
    message: &ToEntity,
    round: u32,
    nodes: &impl Nodes,
) -> Option<Bytes> {
    let name = |session: &SessionKey| SessionName::of(*session, nodes);
    let entity = entity.clone();
    let head = match message {
        ToEntity::CatchUp(CatchUp { spec, codec, after, presence }) => Head::CatchUp(
            entity,
            SpecName::of(*spec, nodes),
            *codec == CodecKind::MsgPack,
            after.clone(),
            *presence,
        ),
        ToEntity::Unfollow(session, which) => {
            let through = match which {
                Subscriptions::Through(number) => Some(*number),
                Subscriptions::All => None,
            };
            Head::Unfollow(entity, name(session), through)
        }
        ToEntity::Adopt(adopt) => {
            let Adopt { from, to, user, meta } = &**adopt;
            Head::Adopt(entity, name(from), name(to), Arc::clone(user), meta.clone())
        }
        ToEntity::Leave(session) => Head::Leave(entity, name(session)),
        ToEntity::Gone(session) => Head::Gone(entity, name(session)),
        ToEntity::Op(_)
        | ToEntity::Subscribe(_)
        | ToEntity::Unsubscribe { .. }
        | ToEntity::Signal(_)
        | ToEntity::Read(_)
        | ToEntity::History(..)
        | ToEntity::Presence { .. }
        | ToEntity::LinkReset(_)
        | ToEntity::LinkOver(_)
        | ToEntity::Erase
        | ToEntity::Sleep { .. } => return None,
    };
    Some(pack(&(round, head), &Collected::default()))
}

fn relay_to_item(tell: &Tell, nodes: &impl Nodes) -> Option<Bytes> {
    let name = |session: &SessionKey| SessionName::of(*session, nodes);
    let head = match tell {
        Tell::Entity(..) => return None,
        Tell::AudienceForgotten { entity, ended } => Head::Forgotten(entity.clone(), *ended),
        Tell::Resume { from, to, owner: Owner { user, client } } => {
            Head::Resume(name(from), name(to), Arc::clone(user), Arc::clone(client))
        }
        Tell::Resumed { to, owner: Owner { user, client }, taken } => {
            let taken = taken.as_ref().map(|(holder, present)| (name(holder), present.clone()));
            Head::Resumed(name(to), Arc::clone(user), Arc::clone(client), taken)
        }
    };
    Some(pack(&(0_u32, head), &Collected::default()))
}

/// Reads such an item from the node `sender`.
///
/// # Errors
/// Where it is none.
pub fn tell_from_item(
    item: &Bytes,
    sender: NodeIndex,
    nodes: &mut impl Nodes,
) -> Result<Tell, BadItem> {
    let ((round, head), _) = unpack::<(u32, Head)>(item)?;
    Ok(match head {
        Head::CatchUp(entity, spec, msgpack, after, presence) => {
            let codec = if msgpack { CodecKind::MsgPack } else { CodecKind::Json };
            let spec = spec.spec(sender, nodes);
            Tell::Entity(entity, ToEntity::CatchUp(CatchUp { spec, codec, after, presence }), round)
        }
        Head::Unfollow(entity, session, through) => {
            let which = through.map_or(Subscriptions::All, Subscriptions::Through);
            Tell::Entity(entity, ToEntity::Unfollow(session.key(sender, nodes), which), round)
        }
        Head::Adopt(entity, from, to, user, meta) => {
            let from = from.key(sender, nodes);
            let to = to.key(sender, nodes);
            Tell::Entity(entity, ToEntity::Adopt(Box::new(Adopt { from, to, user, meta })), round)
        }
        Head::Leave(entity, session) => {
            Tell::Entity(entity, ToEntity::Leave(session.key(sender, nodes)), round)
        }
        Head::Gone(entity, session) => {
            Tell::Entity(entity, ToEntity::Gone(session.key(sender, nodes)), round)
        }
        Head::Forgotten(entity, ended) => Tell::AudienceForgotten { entity, ended },
        Head::Resume(from, to, user, client) => Tell::Resume {
            from: from.key(sender, nodes),
            to: to.key(sender, nodes),
            owner: Owner { user, client },
        },
        Head::Resumed(to, user, client, taken) => {
            let to = to.key(sender, nodes);
            let taken = taken.map(|(holder, present)| (holder.key(sender, nodes), present));
            Tell::Resumed { to, owner: Owner { user, client }, taken }
        }
    })
}

impl Present {
    /// An entry of a session of another node.
    pub fn elsewhere((entity, meta): (EntityId, RawJson)) -> Self {
        Self { entity, meta, since: 0, standing: 1 }
    }
}
