//! Histories of concurrent clients, and the checker that judges them.
//!
//! A history holds what every client of a run invoked, was answered, and was told, each with its
//! moment on one clock, and in the end what the logs hold. All clients live in this process, so one
//! monotonic clock gives all moments.
//!
//! An entity is a list, and an op appends one element to it. What is proven of each entity alone is
//! that it is linearizable: there is one order of ops (the log), every answer fits it, and it
//! contradicts no real-time order between any two clients. Beyond that, every subscriber must have
//! been told each event once and in order. What each finding means is in [`Kind`]; how this
//! compares with other checkers is in `docs/testing.md`.
//!
//! The data's way: `entry` what is written down and `digest` what it is made of, `notes` who writes
//! it, `reading` the logs in the end, `file` how it is kept, `check` who judges: `log` the end,
//! `ops`, `reads`, `views` what clients had, `known` real time, `findings` what came out.

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
pub use findings::{Kind, Tally};
pub use notes::{Clock, Notes};

#[cfg(test)]
mod tests;
