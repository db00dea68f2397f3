//! An entity: one room, document or match; one owner, one mailbox, one ordered log.
//!
//! * Owns: the behaviour's state, recent outcomes for exactly-once, recent events for resuming,
//!   presence, and who follows.
//! * Receives: [`ToEntity`](crate::messages::ToEntity) through its mailbox, whose capacity is the
//!   directory's `entity_inbox`; at the bound requests are answered `overloaded`. The journal's
//!   progress reaches it through a watch, which holds only the latest value.
//! * Sends: events to the journal, and what the commit releases to the relays. It never waits for
//!   the disk; its outputs do.
//! * A crash ends this actor only: what waited is answered `unavailable`, the directory wakes a new
//!   one on demand, which reads the journal, and the relays follow that one.

mod actor;
mod audience;
mod dedupe;
mod env;
mod eraser;
mod identity;
mod life;
mod nature;
mod retention;
mod ring;
mod shell;
mod snapshots;
mod state;
#[cfg(test)]
mod tests;
mod todo;
mod turns;

pub use actor::EntityActor;
pub(crate) use actor::{Deliver, Stop};
pub use env::EntityEnv;
pub use eraser::PagesOut;
pub use life::Life;
pub use shell::{Done, Load, Ports, Read, Shell, Timer};
pub use state::{Effects, Entity, Fetch, FetchFor, JournalSpace};
pub use todo::{Rewriting, Todo};
pub use turns::{Rest, Turns};
