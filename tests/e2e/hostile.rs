//! Hostile clients: each costs only itself, within a bound that docs/security.md states, and never
//! its neighbours.

mod drip;
mod never_reads;
mod storm;
