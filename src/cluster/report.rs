//! What the runner's tasks report back to it.

use greenroom_actors::cluster::membership::{
    ChangeId, HandOffId, Joined, Outcome, PollNumber, View as Read,
};

/// What a task of the runner has found out.
pub enum Report {
    Read(PollNumber, Read),
    Joined(Joined),
    Decided(ChangeId, Outcome),
    Flushed(HandOffId),
    LivesEnded,
}
