//! A client that costs as little as it can, and speaks several servers' languages.
//!
//! The peer of the load harness speaks to Greenroom alone. This one is for the comparison with
//! other servers: it counts, and looks at one place of each message, where its time stamp lies.

pub mod dialect;
pub mod ear;
pub mod line;
pub mod pacer;
pub mod stage;
pub mod tally;

pub use dialect::Dialect;
pub use stage::{Shape, Stage, Trial};
