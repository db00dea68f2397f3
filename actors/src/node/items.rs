//! The kinds of items between nodes. A node skips kinds that it does not know.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A request to an entity: [`Ask`](crate::messages::remote::Ask).
pub const ASK: u8 = 1;
/// A control message, or one between relays: [`Tell`](crate::messages::remote::Tell).
pub const TELL: u8 = 2;
/// What an entity releases: [`Part`](crate::messages::Part)s.
pub const PARTS: u8 = 3;
/// One answer, past everything that waits.
pub const ANSWER: u8 = 4;
/// Asks that were not taken: [`Bounce`].
pub const BOUNCE: u8 = 5;
/// Slots that are offered, and whether they are accepted: [`Moving`].
pub const MOVING: u8 = 6;
/// Slots that the sender serves now but did not when control messages came for them. Whoever
/// follows their entities must follow them again.
pub const SERVED: u8 = 8;

/// What users have used of their limits: [`Usage`].
pub const USAGE: u8 = 7;

/// Users who have used much of their limits here within the last second, and how many tokens.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage(pub Vec<(Arc<str>, u32)>);

/// Asks that were not taken, because the slot is not served here.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounce {
    #[serde(rename = "i")]
    pub ids: Vec<u64>,
    #[serde(rename = "s")]
    pub slot: u16,
    /// The version of the map that the sender knows.
    #[serde(rename = "v")]
    pub map: u64,
}

/// The steps of a hand-off that go over the link. The number is its maker's.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Moving {
    #[serde(rename = "o")]
    Offered(u64),
    #[serde(rename = "a")]
    Accepted(u64),
    #[serde(rename = "d")]
    Declined(u64),
}

/// The body of an item that is plain JSON.
pub fn to_body(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("these are numbers and lists").into()
}
