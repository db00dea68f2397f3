//! Histories of concurrent clients, and the checker that judges them.
//!
//! A history holds what every client of a run invoked and received, each with its time on one
//! clock, and what the logs hold at the end. All clients live in this process, so they share one
//! monotonic clock.
//!
//! An entity is a list, and an op appends one element to it. The checker proves that each entity is
//! linearizable: there is one order of ops (the log), every answer fits it, and it contradicts no
//! real-time order between any two clients. Also, every subscriber must have received each event
//! once and in order. [`Kind`] explains each finding; `docs/testing.md` compares this with other
//! checkers.
//!
//! In the order of the data: `entry` is one record and `digest` its contents, `notes` records them,
//! `reading` reads the logs at the end, and `file` stores it all. `check` judges it: `log` is the
//! log at the end, `ops`, `reads` and `views` are what clients sent and saw, `known` is real time,
//! and `findings` the result.

pub mod check;
pub mod command;
pub mod digest;
pub mod entry;
pub mod file;
pub mod findings;
mod known;
mod log;
pub mod notes;
mod ops;
pub mod reading;
mod reads;
mod views;

pub use check::check;
pub use digest::{Name, Shape, State};
pub use entry::{Effect, Entry, Event, Follow, Got, History, Moment, Page, What};
pub use findings::{Findings, Kind, Tally};
pub use notes::{Clock, Notes};

#[cfg(test)]
mod tests;
