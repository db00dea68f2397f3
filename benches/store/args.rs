//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use super::variant::Group;

/// Measure what a commit costs, by what is written and how.
#[derive(Debug, Parser)]
#[command(name = "store")]
pub struct Args {
    /// Measure these groups only
    #[arg(long, value_enum, value_delimiter = ',')]
    pub only: Vec<Group>,
    /// How long each variant writes
    #[arg(long, default_value = "3s", value_parser = humantime::parse_duration)]
    pub duration: Duration,
    /// How often to go through all of them
    #[arg(long, default_value_t = 1)]
    pub rounds: usize,
    /// A directory on the disk to measure; each variant makes a database in it and removes it
    #[arg(long, default_value = env!("CARGO_TARGET_TMPDIR"))]
    pub dir: PathBuf,
    /// Measure a SurrealDB server instead, such as ws://127.0.0.1:8000; what is written stays there
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// User of that server
    #[arg(long, env = "GREENROOM_STORE__USERNAME", requires = "url")]
    pub username: Option<String>,
    /// Password of that user
    #[arg(long, env = "GREENROOM_STORE__PASSWORD", requires = "url", hide_env_values = true)]
    pub password: Option<String>,
    /// Size of an op's body
    #[arg(long, default_value_t = 100)]
    pub bytes: usize,
    /// Threads of the database's own runtime, as `store.threads`
    #[arg(long, default_value_t = 2)]
    pub threads: usize,
    /// Write the figures to this file too
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// What `cargo bench` adds to every command
    #[arg(long, hide = true)]
    pub bench: bool,
}
