//! The hot functions of the core, one by one, without sockets, threads or a disk: `make bench-hot`.
//!
//! Each benchmark says what one iteration is. Metrics go nowhere here: nobody has installed a
//! recorder. What the loads of `greenroom-loadtest` cost as a whole is in docs/benchmarks.md; these
//! tell which part of it has changed.

mod capability;
mod document;
mod entity;
mod journal;
mod outbox;
mod relay;
mod rig;

fn main() {
    divan::main();
}
