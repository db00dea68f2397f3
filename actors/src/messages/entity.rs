//! What an entity is asked.

use std::sync::Arc;

use greenroom_protocol::params::{self, PresenceAction};
use greenroom_protocol::{CodecKind, Position, RawJson, Seq, WireError};

use super::{Responder, SubSpec, Subscriptions};
use crate::clock::Millis;
use crate::ids::{NodeIndex, SessionKey};
use crate::limits::Payer;

/// Who sends an op.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// The authenticated user.
    pub user: Arc<str>,
    /// Its client id, which counts only together with the user.
    pub client: Arc<str>,
    /// Whether it may act on what others wrote.
    pub moderator: bool,
}

/// A durable op.
#[derive(Debug)]
pub struct OpRequest {
    /// Who sends it.
    pub sender: Sender,
    /// The behaviour's name for it.
    pub r#type: Box<str>,
    /// Its body.
    pub body: RawJson,
    /// The client's number for it.
    pub n: Option<u64>,
    /// When the client says that it first sent it; without that its client id's time counts.
    pub first_sent: Option<Millis>,
    /// The seq that the entity must be at.
    pub if_seq: Option<Seq>,
    /// The client's mark on it, for the event.
    pub tag: Option<Box<str>>,
    /// Where the answer goes.
    pub reply: Responder,
}

/// A request to follow.
#[derive(Debug)]
pub struct SubscribeRequest {
    /// What is wanted.
    pub spec: SubSpec,
    /// What the caller has.
    pub after: Option<Position>,
    /// Where the answer goes.
    pub reply: Responder,
}

/// A volatile message to the other followers.
#[derive(Debug)]
pub struct SignalRequest {
    /// The sender's session, which does not get it.
    pub session: SessionKey,
    /// The sender's user.
    pub user: Arc<str>,
    /// What to send on.
    pub signal: params::Signal,
    /// Where the answer goes.
    pub reply: Responder,
}

/// A paused subscription reads on.
#[derive(Debug, Clone)]
pub struct CatchUp {
    /// Which.
    pub spec: SubSpec,
    /// What its session speaks.
    pub codec: CodecKind,
    /// What it has.
    pub after: Position,
    /// Whether it missed presence changes, and needs the list.
    pub presence: bool,
}

/// A session takes the place of another, or repeats that it is present.
#[derive(Debug)]
pub struct Adopt {
    /// The session that was lost. It equals `to` if the entity has only forgotten who is present.
    pub from: SessionKey,
    /// The session that is present from now on.
    pub to: SessionKey,
    /// Their user.
    pub user: Arc<str>,
    /// What the user says of itself.
    pub meta: RawJson,
}

/// What an entity is asked.
#[derive(Debug)]
pub enum ToEntity {
    /// Decide on an op.
    Op(Box<OpRequest>),
    /// Follow.
    Subscribe(Box<SubscribeRequest>),
    /// Follow no more.
    Unsubscribe {
        /// All of the session's subscriptions up to this one.
        through: u32,
        /// Where the answer goes.
        reply: Responder,
    },
    /// Pass a signal on.
    Signal(Box<SignalRequest>),
    /// Tell the state.
    Read(Responder),
    /// Tell past events.
    History(params::History, Responder),
    /// List, enter or leave.
    Presence {
        /// Which of these.
        action: PresenceAction,
        /// With enter: what the user says of itself.
        meta: Option<RawJson>,
        /// Who.
        user: Arc<str>,
        /// Where the answer goes.
        reply: Responder,
    },
    /// Let a paused subscription read on.
    CatchUp(CatchUp),
    /// A relay has no such subscription any more: forget it and the session's earlier ones.
    Unfollow(SessionKey, Subscriptions),
    /// Let a session take another's place in the presence.
    Adopt(Box<Adopt>),
    /// A session's `leave` could not be taken up: it leaves all the same, and nobody waits for an
    /// answer.
    Leave(SessionKey),
    /// A session has ended.
    Gone(SessionKey),
    /// The link to a node was reset: its sessions follow no more, and enter again if they are still
    /// present.
    LinkReset(NodeIndex),
    /// Sessions of that link that did not enter again are not present any more.
    LinkOver(NodeIndex),
    /// Go on erasing what is still to be erased.
    Erase,
    /// Go to sleep if there is nothing to do.
    Sleep {
        /// Even if somebody follows, and as soon as everything is on disk. The next question without
        /// it takes this back.
        drain: bool,
        /// What to answer with: tells the directory that nothing else was sent since it asked.
        mark: u64,
    },
}

impl ToEntity {
    /// Answers a request with an error, and returns a control message as it is. A refused `leave`
    /// is answered and returned as [`Leave`](Self::Leave), because nobody would ask again for a
    /// member who stays behind.
    pub fn refuse(self, error: WireError) -> Option<Self> {
        match self {
            Self::Presence { action: PresenceAction::Leave, reply, .. } => {
                let session = reply.session();
                reply.send_error(error);
                Some(Self::Leave(session))
            }
            // It is sent again from time to time.
            Self::Erase => None,
            control if control.is_control() => Some(control),
            request => {
                if let Some(reply) = request.into_reply() {
                    reply.send_error(error);
                }
                None
            }
        }
    }

    /// The duty to answer it, if somebody waits for an answer.
    pub(super) fn reply(&self) -> Option<&Responder> {
        match self {
            Self::Op(request) => Some(&request.reply),
            Self::Subscribe(request) => Some(&request.reply),
            Self::Signal(request) => Some(&request.reply),
            Self::Unsubscribe { reply, .. }
            | Self::Read(reply)
            | Self::History(_, reply)
            | Self::Presence { reply, .. } => Some(reply),
            Self::CatchUp(_)
            | Self::Unfollow(..)
            | Self::Adopt(_)
            | Self::Leave(_)
            | Self::Gone(_)
            | Self::LinkReset(_)
            | Self::LinkOver(_)
            | Self::Erase
            | Self::Sleep { .. } => None,
        }
    }

    /// The duty to answer it, if somebody waits for an answer; the rest is dropped.
    pub fn into_reply(self) -> Option<Responder> {
        match self {
            Self::Op(request) => Some(request.reply),
            Self::Subscribe(request) => Some(request.reply),
            Self::Signal(request) => Some(request.reply),
            Self::Unsubscribe { reply, .. }
            | Self::Read(reply)
            | Self::History(_, reply)
            | Self::Presence { reply, .. } => Some(reply),
            Self::CatchUp(_)
            | Self::Unfollow(..)
            | Self::Adopt(_)
            | Self::Leave(_)
            | Self::Gone(_)
            | Self::LinkReset(_)
            | Self::LinkOver(_)
            | Self::Erase
            | Self::Sleep { .. } => None,
        }
    }

    /// The session that a control message is about, if it is about one.
    pub fn about(&self) -> Option<SessionKey> {
        match self {
            Self::CatchUp(request) => Some(request.spec.session),
            Self::Unfollow(session, _) | Self::Leave(session) | Self::Gone(session) => {
                Some(*session)
            }
            Self::Adopt(adopt) => Some(adopt.to),
            Self::Op(_)
            | Self::Subscribe(_)
            | Self::Unsubscribe { .. }
            | Self::Signal(_)
            | Self::Read(_)
            | Self::History(..)
            | Self::Presence { .. }
            | Self::LinkReset(_)
            | Self::LinkOver(_)
            | Self::Erase
            | Self::Sleep { .. } => None,
        }
    }

    /// An earlier attempt of this may have been taken, and it is made again. If an op or a change of
    /// the presence is now refused, its outcome is not known all the same.
    pub fn may_have_happened(&mut self) {
        match self {
            Self::Op(request) => request.reply.may_have_happened(),
            Self::Presence { reply, .. } => reply.may_have_happened(),
            // Nobody minds whether something else happened before.
            _ => {}
        }
    }

    /// For a request of another node's session: the link that it came over, and its number and
    /// round there.
    pub fn asked_elsewhere(&self) -> Option<(NodeIndex, u64, u32)> {
        self.reply().and_then(Responder::asked_elsewhere)
    }

    /// Who pays for a request.
    pub fn payer(&self) -> Option<&Payer> {
        self.reply().and_then(Responder::payer)
    }

    /// Whether this must not be lost, and nobody waits for an answer.
    pub fn is_control(&self) -> bool {
        self.reply().is_none()
    }
}
