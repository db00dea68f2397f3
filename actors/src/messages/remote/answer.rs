//! An answer on its way back.

use bytes::Bytes;
use greenroom_protocol::results::{PresenceOutcome, SubscriptionOutcome};
use greenroom_protocol::{EntityId, ErrorCode, WireError};
use serde::{Deserialize, Serialize};

use super::BadItem;
use super::packed::{Blobs, Collected, pack, unpack};
use crate::messages::answer::{Body, Sent};
use crate::messages::{Answer, Responder};

/// An answer in an item's head.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AnswerHead {
    #[serde(rename = "i")]
    id: u64,
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    code: Option<ErrorCode>,
    #[serde(rename = "b")]
    body: BodyHead,
    #[serde(rename = "o", default, skip_serializing_if = "is_zero")]
    owed: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_zero(owed: &u32) -> bool {
    *owed == 0
}

#[derive(Debug, Serialize, Deserialize)]
enum BodyHead {
    /// The length of the frame, if there is one.
    #[serde(rename = "f")]
    Frame(Option<u32>),
    #[serde(rename = "r")]
    Refused(EntityId, Box<WireError>),
    #[serde(rename = "s")]
    Subscription(u16, Box<SubscriptionOutcome>),
    #[serde(rename = "p")]
    Presence(u16, Box<PresenceOutcome>),
}

/// What came back for an ask. The duty that was kept for it makes it an answer.
#[derive(Debug)]
pub struct Unclaimed(Sent);

impl Unclaimed {
    /// The ask's number.
    pub const fn id(&self) -> u64 {
        self.0.id
    }

    /// The answer, for the relay of the session that asked.
    pub fn claimed(self, reply: Responder) -> Answer {
        reply.made_elsewhere(self.0)
    }
}

impl AnswerHead {
    pub(super) fn of(answer: Answer, behind: &mut Collected) -> Self {
        let Sent { id, owed, body, error: code } = answer.sent();
        let body = match body {
            Body::Frame(frame) => BodyHead::Frame(behind.add_if(frame)),
            Body::Around(pieces) => {
                BodyHead::Frame(Some(behind.add(Bytes::from(pieces.0.concat()))))
            }
            Body::Refused(entity, error) => BodyHead::Refused(entity, error),
            Body::Subscription(index, outcome) => BodyHead::Subscription(index, outcome),
            Body::Presence(index, outcome) => BodyHead::Presence(index, outcome),
        };
        Self { id, code, body, owed }
    }

    pub(super) fn arrive(self, behind: &mut Blobs) -> Result<Unclaimed, BadItem> {
        let body = match self.body {
            BodyHead::Frame(length) => Body::Frame(behind.take_if(length)?),
            BodyHead::Refused(entity, error) => Body::Refused(entity, error),
            BodyHead::Subscription(index, outcome) => Body::Subscription(index, outcome),
            BodyHead::Presence(index, outcome) => Body::Presence(index, outcome),
        };
        Ok(Unclaimed(Sent { id: self.id, owed: self.owed, body, error: self.code }))
    }
}

/// The body of an item with one answer.
pub fn answer_to_item(answer: Answer) -> Bytes {
    let mut behind = Collected::default();
    let head = AnswerHead::of(answer, &mut behind);
    pack(&head, &behind)
}

/// Reads an item with one answer.
///
/// # Errors
/// Where it is not an answer.
pub fn answer_from_item(item: &Bytes) -> Result<Unclaimed, BadItem> {
    let (head, mut behind) = unpack::<AnswerHead>(item)?;
    head.arrive(&mut behind)
}
