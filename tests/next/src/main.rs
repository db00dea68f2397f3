//! The server as a later release, for tests of rolling deploys: it speaks another version of the
//! format between nodes as well, and migrates the database.

use std::process::ExitCode;

use clap::Parser;
use greenroom::allocator::MiMalloc;
use greenroom::cli::{self, Cli};
use greenroom::release::{self, Release};
use greenroom::store::SCHEMA;
use greenroom_actors::cluster::link::frame::PROTO;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Adds what older releases never look at.
const MIGRATION: &str = "DEFINE FIELD IF NOT EXISTS later ON meta TYPE option<int>;";

fn main() -> ExitCode {
    release::run_as(Release {
        version: "999.0.0",
        proto: PROTO + 1,
        migrations: &[(MIGRATION, SCHEMA.max as u64)],
    });
    match cli::run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
