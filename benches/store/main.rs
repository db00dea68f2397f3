//! `make bench-store`: the cost of a commit of the server's store, depending on the number of ops
//! and the snapshots in it.
//!
//! Each variant gets its own database and writes transactions for a while, as the committer does;
//! nothing is compared with a limit. Run it on the disk of interest, and pin it to one core
//! (`taskset -c 0`) to see what the server's core would spend. Other shapes of the journal were
//! compared once: see `docs/adr/0008-shapes-of-the-journal.md`.

mod args;
mod log;
mod measure;
mod meter;
mod polls;
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

/// Errors are only printed; nothing branches on them.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    // This comes first because it may re-execute the process.
    if let Err(error) = allocator::configure() {
        eprintln!("store: the allocator keeps its defaults, as the server's would: {error}");
    }
    // Like the server's filter: without a filter, SurrealDB's spans would format text that nobody
    // reads.
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
    if let Some(number) = args.polls {
        return runtime.block_on(polls::measure(number.get(), args));
    }
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
