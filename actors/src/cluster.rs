//! Several nodes as one Greenroom: what they exchange, and what they agree on.

pub mod link;
