//! `make bench-store`: what a commit costs, by what is written and how. `docs/adr/0008` has the
//! comparison that this measures.
//!
//! Each variant gets a database of its own, opened as the server opens its store, and writes
//! transactions for a while; nothing is compared with a limit. Run it on the disk that is meant,
//! and pinned to one core (`taskset -c 0`) to see what the server's core would spend.
//!
//! The server is a binary, so this cannot link to its store. What the server says to the database
//! (`commit.rs`, `rows.rs`, the schema) and the threads and memory it says it with are included as
//! they are; [`link`] takes the place of the module of that name and hands over what the server
//! would send. [`engine`] is written here once more, since it opens databases in ways that the
//! server must not.

// Included modules have tests, which are no part of this program, and functions that it has no use
// for.
#[path = "../../src/allocator.rs"]
mod allocator;
#[allow(dead_code, unused_imports, reason = "the server's, see above")]
#[path = "../../src/store/commit.rs"]
mod commit;
#[allow(dead_code, unused_imports, reason = "the server's, see above")]
#[path = "../../src/store/failure.rs"]
mod failure;
#[allow(dead_code, unused_imports, reason = "the server's, see above")]
#[path = "../../src/store/rows.rs"]
mod rows;
#[allow(dead_code, unused_imports, reason = "the server's, see above")]
#[path = "../../src/store/runtime.rs"]
mod runtime;

mod args;
mod engine;
mod lane;
mod link;
mod log;
mod measure;
mod meter;
mod report;
mod sending;
mod shape;
mod variant;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use args::Args;
use report::Report;

/// What went wrong, in words; nobody branches on it.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    // First of all: it may start the process anew.
    if let Err(error) = allocator::configure() {
        eprintln!("store: the allocator keeps its defaults, as the server's would: {error}");
    }
    // As the server's: until somebody listens, SurrealDB's spans take the trouble to say what
    // nobody hears.
    let filter = EnvFilter::new("info,surrealdb=warn,surrealkv=error");
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
