//! A client that costs as little as it can, and speaks several servers' languages.
//!
//! The peer of the scenarios decodes frames and checks promises; at millions of deliveries a second
//! it would be what is measured. This one reads in large pieces, steps from frame header to frame
//! header, and looks at one place of each message: where its time stamp lies.

pub mod dialect;
pub mod ear;
pub mod frame;
pub mod guest;
pub mod line;
pub mod pacer;
pub mod reader;
pub mod stage;
pub mod tally;
pub mod upgrade;

pub use dialect::Dialect;
pub use stage::{Shape, Stage, Trial};
