//! Links between nodes: over a wire that may lose, delay, repeat and reorder messages, each pair of
//! nodes gets a stream of items in each direction, in order and without repetition.
//!
//! A link lasts as long as both nodes can keep it. When one of them cannot (too much waits, the
//! peer was silent, the wire was cut for long), the link is **reset** at both ends: each is told by
//! [`Event::Reset`], drops what waits, and starts a new stream. The owner of a link must be able to
//! start over then. A link never makes anybody wait: it is reset instead.
//!
//! # Handshake
//!
//! The link is up in one *pair* at a time: an epoch that the caller has drawn and one that the
//! answerer has drawn. The node with the smaller id is the caller. Nobody draws an epoch twice for
//! the same peer, and a restarted process has another id.
//!
//! ```text
//!  caller                                             answerer
//!  down: draws c                                      down
//!    │ ── hello c ───────────────────────────────────► │  draws r for c: an offer, no more
//!    │ ◄──────────────────────────────── welcome r, c ─│
//!  up in (c, r)                                        │
//!    │ ── nack or data c, r (until confirmed) ───────► │
//!    │                                                up in (c, r); if it was up: Reset first
//!    │ ◄───────────────────────────────────── data r, c│
//!  confirmed                                           │
//!
//!  reset at the caller: draws c', hello c', as above.
//!  reset at the answerer: bye r, c; then hello (asks to be called) until it is up. A caller that
//!  is up answers that with data c, r; an answerer that gets data of a pair that it is not in, and
//!  that it does not offer, says bye to that pair.
//!
//!   down ──hello──► up ──gap──► (nack, go back) ──► up
//!     ▲                                             │
//!     └── reset ◄── full, silence, stall, bye, or a ┘
//!                   new pair that the peer entered
//! ```
//!
//! # Why nothing of an old epoch is ever taken
//!
//! Data is taken only if it names the pair that this end is in, or, at the answerer, an open offer.
//! * *A pair has one stream in each direction.* The answerer draws r for one c and never offers it
//!   for another. The caller leaves "down with c" only once, by the first welcome it takes, so c is
//!   used in one pair. ("Data" here includes nacks.) An end enters a pair at most once: the caller
//!   since c is gone after it, the answerer since entering clears the offers and a later offer has
//!   a new r. So all frames that name a pair have been numbered by one sender from 1 on, without
//!   repetition.
//! * *A receiver starts with the pair* and takes number last + 1 and nothing else. So within a pair
//!   each item is delivered once and in order, and what is delivered is a beginning of what was
//!   pushed. Late frames name a pair that this end has left, and are dropped.
//! * *A late hello changes nothing.* It makes an offer, and only data that names the offer
//!   completes it. The caller sends that only if it takes the welcome, which it does only while it
//!   is still calling with that very c. A late welcome names a c that is gone; a late bye names a
//!   pair that has been left; late data names a pair that is neither present nor offered.
//!
//! # Why both ends learn of a reset
//!
//! Leaving a pair is final, and each end reports `Reset` when it leaves one. If the caller leaves
//! (c, r), it calls with c' until welcomed, and sends data of the new pair until that is confirmed;
//! the answerer enters the new pair and so leaves the old one. If the answerer leaves, its hellos
//! make the caller send data of the pair, which the answerer disowns by a bye, and so on until one
//! arrives. Every step is repeated until it is answered, so both ends agree once messages arrive at
//! all. If a running process makes its link again (its peer had left the map meanwhile), its
//! epochs start at a random number; the other end learns of it in the same ways.

pub use counters::{Cause, Counters};
pub use frame::{Frame, FrameError, Item, Kind, NodeId};
pub use machine::{Event, Link, LinkState};
pub use pairing::Pair;
pub use sender::Refused;
pub use settings::{Settings, Unfit};

pub mod beat;
mod calls;
mod counters;
pub mod frame;
mod machine;
mod pairing;
mod planted;
mod receiver;
mod sender;
mod settings;
pub mod wire;

#[cfg(test)]
mod tests;
