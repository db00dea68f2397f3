//! What holds for every message, tried on generated ones.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking, as the test does")]

mod bodies;
mod calls;
mod differential;
mod findings;
mod hostile;
mod json;
mod names;
mod sound;
