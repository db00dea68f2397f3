//! What can be learned from JSON text without parsing it into values.

mod depth;
mod sound;
mod unescape;

pub use sound::Flaw;

pub(crate) use depth::{deeper_than, depth};
pub(crate) use sound::check;
pub(crate) use unescape::unescape;
