//! Links between nodes: over a wire that may lose, delay and repeat messages, each pair of nodes
//! gets a stream of items in each direction, in order and without repetition.

pub use frame::{Frame, FrameError, Item, Kind, NodeId, Part, Piece};

pub mod frame;
