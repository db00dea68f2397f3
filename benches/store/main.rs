//! `make bench-store`: what a commit of the server's store costs, by the number of ops in it and the
//! snapshots.
//!
//! Each variant gets a database of its own and writes transactions for a while, as the committer
//! does; nothing is compared with a limit. Run it on the disk that is meant, and pinned to one core
//! (`taskset -c 0`) to see what the server's core would spend. How other shapes of the journal
//! compare was measured once and is in `docs/adr/0008-shapes-of-the-journal.md`.

mod args;
mod log;
mod measure;
mod meter;
mod report;
mod variant;
mod writer;

use std::process::ExitCode;

use clap::Parser;
use greenroom::allocator::{self, MiMalloc};
use tracing_subscriber::EnvFilter;

use args::Args;
use report::Report;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// What went wrong, in words; nobody branches on it.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    // First of all: it may start the process anew.
    if let Err(error) = allocator::configure() {
        eprintln!("store: the allocator keeps its defaults, as the server's would: {error}");
    }
    // As the server's: until somebody listens, SurrealDB's spans take the trouble to say what
    // nobody hears.
    let filter = EnvFilter::new("warn,surrealkv=error");
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("store: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let variants = variant::all(&args.only);
    let mut report = Report::begin(args.json.as_deref());
    for round in 1..=args.rounds {
        report.round(round, args.rounds);
        for variant in &variants {
            let figures = runtime
                .block_on(measure::measure(variant, args))
                .map_err(|error| format!("{}: {error}", variant.name))?;
            report.add(round, variant, figures)?;
        }
    }
    Ok(())
}
