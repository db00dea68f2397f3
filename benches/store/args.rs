//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use super::variant::Group;

/// Measure what a commit costs, by what is written and how.
#[derive(Debug, Parser)]
#[command(name = "store")]
pub struct Args {
    /// Measure only these groups
    #[arg(long, value_enum, value_delimiter = ',')]
    pub only: Vec<Group>,
    /// How long each variant writes
    #[arg(long, default_value = "3s", value_parser = humantime::parse_duration)]
    pub duration: Duration,
    /// How often to repeat all variants
    #[arg(long, default_value_t = 1)]
    pub rounds: usize,
    /// A directory on the disk to measure; each variant creates a database in it and removes it
    #[arg(long, default_value = env!("CARGO_TARGET_TMPDIR"))]
    pub dir: PathBuf,
    /// Measure a SurrealDB server instead, such as ws://127.0.0.1:8000; the written data stays
    /// there
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// The number of committers that write at the same time, each with a lease and a connection of
    /// its own, as the nodes of a cluster do; needs a server
    #[arg(long, default_value_t = 1, requires = "url")]
    pub committers: u16,
    /// Measure this number of polls of a cluster's map and leases instead
    #[arg(long, value_name = "NUMBER")]
    pub polls: Option<std::num::NonZeroU32>,
    /// The server's user name
    #[arg(long, env = "GREENROOM_STORE__USERNAME", requires = "url")]
    pub username: Option<String>,
    /// The user's password
    #[arg(long, env = "GREENROOM_STORE__PASSWORD", requires = "url", hide_env_values = true)]
    pub password: Option<String>,
    /// The size of an op's body in bytes
    #[arg(long, default_value_t = 100)]
    pub bytes: usize,
    /// The number of threads of the database's runtime, like `store.threads`
    #[arg(long, default_value_t = 2)]
    pub threads: usize,
    /// Also write the figures to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// `cargo bench` adds this to every command
    #[arg(long, hide = true)]
    pub bench: bool,
}
