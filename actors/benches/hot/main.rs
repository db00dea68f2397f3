//! The hot functions of the core, one by one, without sockets, threads or a disk: `make bench-hot`.
//!
//! Each benchmark documents what one iteration does. Metrics are discarded, because no recorder is
//! installed. docs/benchmarks.md has the total costs of the loads of `greenroom-loadtest`; these
//! benchmarks show which part has changed.

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
