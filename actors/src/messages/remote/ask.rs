//! A request to an entity of another node.

use std::net::IpAddr;
use std::ops::Not;
use std::sync::Arc;

use bytes::Bytes;
use greenroom_protocol::params::{self, PresenceAction};
use greenroom_protocol::{CodecKind, EntityId, Position, RawJson, Seq};
use serde::{Deserialize, Serialize};

use super::packed::{Collected, pack, unpack};
use super::{BadItem, Nodes, SessionName, SpecName};
use crate::budget::Standing;
use crate::clock::Millis;
use crate::ids::{NodeIndex, SessionKey};
use crate::limits::Payer;
use crate::messages::answer::Question;
use crate::messages::{
    Asker, OpRequest, Responder, Sender, SignalRequest, SubscribeRequest, ToEntity,
};

/// A request on its way to the node that owns its entity.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ask {
    /// The sender's number for it, which the answer repeats.
    #[serde(rename = "i")]
    pub id: u64,
    /// The sender's round for the slot: see [`asks`](crate::cluster::asks).
    #[serde(rename = "o", default)]
    pub round: u32,
    /// Whether it was sent before, over a link that was reset, and may have been taken then.
    #[serde(rename = "a", default, skip_serializing_if = "Not::not")]
    again: bool,
    /// The entity.
    #[serde(rename = "e", deserialize_with = "EntityId::deserialize_internal")]
    pub entity: EntityId,
    #[serde(rename = "s")]
    session: SessionName,
    #[serde(rename = "m", default)]
    msgpack: bool,
    #[serde(rename = "q")]
    question: Question,
    /// Whether the session has taken its earlier answers, for an answer that may be large.
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    clear: Option<bool>,
    #[serde(rename = "r")]
    request: Request,
    /// Who pays: a user, unless it is anonymous, and an address; absent for the server itself.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    payer: Option<(Option<Arc<str>>, IpAddr)>,
}

#[derive(Debug, Serialize, Deserialize)]
enum Request {
    #[serde(rename = "op")]
    Op {
        #[serde(rename = "u")]
        user: Arc<str>,
        #[serde(rename = "c")]
        client: Arc<str>,
        #[serde(rename = "m", default)]
        moderator: bool,
        #[serde(rename = "t")]
        r#type: Box<str>,
        #[serde(rename = "b", default)]
        body: RawJson,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        n: Option<u64>,
        #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
        first_sent: Option<Millis>,
        #[serde(rename = "q", default, skip_serializing_if = "Option::is_none")]
        if_seq: Option<Seq>,
        #[serde(rename = "g", default, skip_serializing_if = "Option::is_none")]
        tag: Option<Box<str>>,
    },
    #[serde(rename = "sub")]
    Subscribe { spec: SpecName, after: Option<Position> },
    #[serde(rename = "unsub")]
    Unsubscribe { through: u32 },
    #[serde(rename = "sig")]
    Signal {
        #[serde(rename = "u")]
        user: Arc<str>,
        #[serde(rename = "t")]
        r#type: String,
        #[serde(rename = "b", default)]
        body: RawJson,
        #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    },
    #[serde(rename = "read")]
    Read {},
    #[serde(rename = "hist")]
    History { before: Option<Seq>, after: Option<Seq>, limit: Option<u32> },
    #[serde(rename = "pres")]
    Presence {
        #[serde(rename = "a")]
        action: PresenceAction,
        #[serde(rename = "m", default)]
        meta: Option<RawJson>,
        #[serde(rename = "u")]
        user: Arc<str>,
    },
}

/// How the sender numbers an ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AskFor {
    /// The sender's number for it.
    pub id: u64,
    /// The sender's round for the slot.
    pub round: u32,
    /// It was sent before, and may have been taken then.
    pub again: bool,
}

impl Ask {
    /// What to send of `message`; `None` if it is not a request. The sender keeps the message until
    /// it is answered.
    pub fn of(
        entity: &EntityId,
        message: &ToEntity,
        AskFor { id, round, again }: AskFor,
        nodes: &impl Nodes,
    ) -> Option<Self> {
        let reply = message.reply()?;
        let question = reply.question()?.clone();
        let request = match message {
            ToEntity::Op(op) => Request::Op {
                user: Arc::clone(&op.sender.user),
                client: Arc::clone(&op.sender.client),
                moderator: op.sender.moderator,
                r#type: op.r#type.clone(),
                body: op.body.clone(),
                n: op.n,
                first_sent: op.first_sent,
                if_seq: op.if_seq,
                tag: op.tag.clone(),
            },
            ToEntity::Subscribe(request) => Request::Subscribe {
                spec: SpecName::of(request.spec, nodes),
                after: request.after.clone(),
            },
            ToEntity::Unsubscribe { through, .. } => Request::Unsubscribe { through: *through },
            ToEntity::Signal(request) => Request::Signal {
                user: Arc::clone(&request.user),
                r#type: request.signal.r#type.clone(),
                body: request.signal.body.clone(),
                key: request.signal.key.clone(),
            },
            ToEntity::Read(_) => Request::Read {},
            ToEntity::History(params, _) => {
                Request::History { before: params.before, after: params.after, limit: params.limit }
            }
            ToEntity::Presence { action, meta, user, .. } => {
                Request::Presence { action: *action, meta: meta.clone(), user: Arc::clone(user) }
            }
            ToEntity::CatchUp(_)
            | ToEntity::Unfollow(..)
            | ToEntity::Adopt(_)
            | ToEntity::Leave(_)
            | ToEntity::Gone(_)
            | ToEntity::LinkReset(_)
            | ToEntity::LinkOver(_)
            | ToEntity::Erase
            | ToEntity::Sleep { .. } => return None,
        };
        Some(Self {
            id,
            round,
            again,
            entity: entity.clone(),
            session: SessionName::of(reply.session(), nodes),
            msgpack: reply.codec() == CodecKind::MsgPack,
            question,
            clear: reply.standing().map(|standing| standing == Standing::Clear),
            request,
            payer: reply.payer().map(Payer::names),
        })
    }

    /// The item's body.
    pub fn to_item(&self) -> Bytes {
        pack(self, &Collected::default())
    }

    /// Reads an item's body.
    ///
    /// # Errors
    /// Where it is not an ask.
    pub fn from_item(item: &Bytes) -> Result<Self, BadItem> {
        Ok(unpack(item)?.0)
    }

    /// Who pays for it, for the receiver to find or open the account.
    pub fn payer(&self) -> Option<(Option<&Arc<str>>, IpAddr)> {
        self.payer.as_ref().map(|(user, address)| (user.as_ref(), *address))
    }

    /// Whether the answer may be large: a state, a snapshot, a page of the log, or a list of who is
    /// present.
    pub const fn may_be_large(&self) -> bool {
        matches!(
            self.request,
            Request::Read {}
                | Request::Subscribe { .. }
                | Request::History { .. }
                | Request::Presence { action: PresenceAction::List, .. }
        )
    }

    /// The codec that its session speaks.
    pub fn codec(&self) -> CodecKind {
        if self.msgpack { CodecKind::MsgPack } else { CodecKind::Json }
    }

    /// The session that asks, of the node `sender`.
    pub fn session(&self, sender: NodeIndex, nodes: &mut impl Nodes) -> SessionKey {
        self.session.key(sender, nodes)
    }

    /// The request, to be answered through `asker`.
    pub fn into_message(
        self,
        sender: NodeIndex,
        asker: Arc<Asker>,
        nodes: &mut impl Nodes,
    ) -> (EntityId, ToEntity) {
        let session = asker.session;
        let large = self.clear.map(|clear| if clear { Standing::Clear } else { Standing::Behind });
        let reply = Responder::remote(asker, self.question, large);
        let entity = self.entity.clone();
        let again = self.again;
        let mut message = match self.request {
            Request::Op { user, client, moderator, r#type, body, n, first_sent, if_seq, tag } => {
                let sender = Sender { user, client, moderator };
                ToEntity::Op(Box::new(OpRequest {
                    sender,
                    r#type,
                    body,
                    n,
                    first_sent,
                    if_seq,
                    tag,
                    reply,
                }))
            }
            Request::Subscribe { spec, after } => {
                let spec = spec.spec(sender, nodes);
                ToEntity::Subscribe(Box::new(SubscribeRequest { spec, after, reply }))
            }
            Request::Unsubscribe { through } => ToEntity::Unsubscribe { through, reply },
            Request::Signal { user, r#type, body, key } => {
                let signal = params::Signal { entity: self.entity, r#type, body, key };
                ToEntity::Signal(Box::new(SignalRequest { session, user, signal, reply }))
            }
            Request::Read {} => ToEntity::Read(reply),
            Request::History { before, after, limit } => {
                let params = params::History { entity: self.entity, before, after, limit };
                ToEntity::History(params, reply)
            }
            Request::Presence { action, meta, user } => {
                ToEntity::Presence { action, meta, user, reply }
            }
        };
        if again {
            message.may_have_happened();
        }
        (entity, message)
    }
}
