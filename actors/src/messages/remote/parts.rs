//! What an entity releases to the relays of another node.

use bytes::Bytes;
use greenroom_protocol::{EntityId, Epoch, Seq};
use serde::{Deserialize, Serialize};

use super::answer::{AnswerHead, Unclaimed};
use super::packed::{Blobs, Collected, pack, unpack};
use super::{BadItem, Nodes, SessionName, SpecName};
use crate::frames::Frames;
use crate::ids::{NodeIndex, WorkerId};
use crate::messages::{Part, SubSpec, Subscriptions, Workers};

#[derive(Debug, Serialize, Deserialize)]
struct Head {
    #[serde(rename = "e", deserialize_with = "EntityId::deserialize_internal")]
    entity: EntityId,
    #[serde(rename = "p")]
    parts: Vec<PartHead>,
}

/// The lengths of the same frames in each codec.
#[derive(Debug, Serialize, Deserialize)]
struct Lengths {
    #[serde(rename = "j", default, skip_serializing_if = "Option::is_none")]
    json: Option<u32>,
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    msgpack: Option<u32>,
}

impl Lengths {
    fn of(frames: Frames, behind: &mut Collected) -> Self {
        Self { json: behind.add_if(frames.json), msgpack: behind.add_if(frames.msgpack) }
    }

    fn take(self, behind: &mut Blobs) -> Result<Frames, BadItem> {
        Ok(Frames { json: behind.take_if(self.json)?, msgpack: behind.take_if(self.msgpack)? })
    }
}

#[derive(Debug, Serialize, Deserialize)]
enum PartHead {
    #[serde(rename = "e")]
    Events(Workers, Lengths, Seq, Seq),
    #[serde(rename = "s")]
    Signal(Workers, Lengths, SessionName, u64),
    #[serde(rename = "p")]
    Presence(Workers, Lengths),
    #[serde(rename = "j")]
    Joined(SpecName, Epoch, Seq, AnswerHead),
    #[serde(rename = "l")]
    Left(SessionName, Option<u32>),
    #[serde(rename = "c")]
    CaughtUp {
        #[serde(rename = "s")]
        spec: SpecName,
        #[serde(rename = "f")]
        frame: Option<u32>,
        #[serde(rename = "n")]
        events: u64,
        #[serde(rename = "e")]
        epoch: Epoch,
        #[serde(rename = "a")]
        after: Seq,
        #[serde(rename = "q")]
        seq: Seq,
        #[serde(rename = "v", default)]
        live: bool,
        #[serde(rename = "p", default)]
        presence: bool,
    },
    #[serde(rename = "r")]
    Replaced(SpecName),
    #[serde(rename = "a")]
    Answer(AnswerHead),
}

/// What an entity of another node has released.
pub struct Arrived {
    /// Which entity.
    pub entity: EntityId,
    /// In order.
    pub parts: Vec<ArrivedPart>,
}

/// One thing that an entity of another node has released.
#[derive(Debug)]
pub enum ArrivedPart {
    /// It is for these workers.
    Shared(Workers, Part),
    /// It is for one of them.
    One(WorkerId, Part),
    /// An answer, for the worker of the session that asked.
    Answer(Unclaimed),
    /// A subscription begins, and this is the answer to it. If nobody waits for that any more, the
    /// entity is to be told [`ToEntity::Unfollow`](crate::messages::ToEntity::Unfollow).
    Joined {
        /// What was asked for, and by whom.
        spec: SubSpec,
        /// The log.
        epoch: Epoch,
        /// The position that the answer brings the session to.
        seq: Seq,
        /// The answer.
        answer: Unclaimed,
    },
}

/// The body of an item with everything that an entity releases at once to the relays of one node.
pub fn parts_to_item(entity: &EntityId, parts: Vec<(Workers, Part)>, nodes: &impl Nodes) -> Bytes {
    let mut behind = Collected::default();
    let part = |(workers, part)| match part {
        Part::Events { frames, first, last } => {
            PartHead::Events(workers, Lengths::of(frames, &mut behind), first, last)
        }
        Part::Signal { frames, from, key } => {
            let lengths = Lengths::of(frames, &mut behind);
            PartHead::Signal(workers, lengths, SessionName::of(from, nodes), key)
        }
        Part::Presence(frames) => PartHead::Presence(workers, Lengths::of(frames, &mut behind)),
        Part::Joined { spec, epoch, seq, answer } => PartHead::Joined(
            SpecName::of(spec, nodes),
            epoch,
            seq,
            AnswerHead::of(answer, &mut behind),
        ),
        Part::Left { session, which } => {
            let through = match which {
                Subscriptions::Through(number) => Some(number),
                Subscriptions::All => None,
            };
            PartHead::Left(SessionName::of(session, nodes), through)
        }
        Part::CaughtUp { spec, frame, events, epoch, after, seq, live, presence } => {
            PartHead::CaughtUp {
                spec: SpecName::of(spec, nodes),
                frame: behind.add_if(frame),
                events,
                epoch,
                after,
                seq,
                live,
                presence,
            }
        }
        Part::Replaced(spec) => PartHead::Replaced(SpecName::of(spec, nodes)),
        Part::Answer(answer) => PartHead::Answer(AnswerHead::of(answer, &mut behind)),
    };
    let parts = parts.into_iter().map(part).collect();
    pack(&Head { entity: entity.clone(), parts }, &behind)
}

/// Reads an item with parts.
///
/// # Errors
/// Where it does not hold parts.
pub fn parts_from_item(
    item: &Bytes,
    sender: NodeIndex,
    nodes: &mut impl Nodes,
) -> Result<Arrived, BadItem> {
    let (Head { entity, parts }, mut behind) = unpack::<Head>(item)?;
    let behind = &mut behind;
    let part = |part| {
        Ok(match part {
            PartHead::Events(workers, lengths, first, last) => {
                let frames = lengths.take(behind)?;
                ArrivedPart::Shared(workers, Part::Events { frames, first, last })
            }
            PartHead::Signal(workers, lengths, from, key) => {
                let (from, frames) = (from.key(sender, nodes), lengths.take(behind)?);
                ArrivedPart::Shared(workers, Part::Signal { frames, from, key })
            }
            PartHead::Presence(workers, lengths) => {
                ArrivedPart::Shared(workers, Part::Presence(lengths.take(behind)?))
            }
            PartHead::Joined(spec, epoch, seq, answer) => {
                let spec = spec.spec(sender, nodes);
                ArrivedPart::Joined { spec, epoch, seq, answer: answer.arrive(behind)? }
            }
            PartHead::Left(session, through) => {
                let session = session.key(sender, nodes);
                let which = through.map_or(Subscriptions::All, Subscriptions::Through);
                ArrivedPart::One(session.worker, Part::Left { session, which })
            }
            PartHead::CaughtUp { spec, frame, events, epoch, after, seq, live, presence } => {
                let spec = spec.spec(sender, nodes);
                let frame = behind.take_if(frame)?;
                let worker = spec.session.worker;
                let caught_up =
                    Part::CaughtUp { spec, frame, events, epoch, after, seq, live, presence };
                ArrivedPart::One(worker, caught_up)
            }
            PartHead::Replaced(spec) => {
                let spec = spec.spec(sender, nodes);
                ArrivedPart::One(spec.session.worker, Part::Replaced(spec))
            }
            PartHead::Answer(answer) => ArrivedPart::Answer(answer.arrive(behind)?),
        })
    };
    let parts = parts.into_iter().map(part).collect::<Result<_, BadItem>>()?;
    Ok(Arrived { entity, parts })
}
