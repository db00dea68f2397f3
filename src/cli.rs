//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{ConfigError, Loaded, LogFormat, Overrides};

pub mod check;
pub mod rewrite;
#[cfg(test)]
mod tests;
pub mod token;

/// A self-hosted realtime backend: durable rooms and documents over WebSocket, from one binary.
#[derive(Debug, Parser)]
#[command(name = "greenroom", version, arg_required_else_help = true, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  greenroom serve                                    a server on 127.0.0.1:8080, data in ./data
  greenroom serve --listen 0.0.0.0:8080 --store ws://db:8000
  greenroom token --sub alice --allow 'room:*=read,send' --ttl 1h
  greenroom check --config /etc/greenroom.toml

Configuration: every key of greenroom.toml can be set by an environment variable, such as
GREENROOM_SOCKET__PING_INTERVAL=10s for `ping_interval` in `[socket]`. Flags win over the environment, and that
over the file. docs/configuration.md lists all keys.

Exit codes: 0 done, 1 failed while running, 2 wrong usage or configuration.";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server until SIGTERM or Ctrl-C
    Serve(ConfigArgs),
    /// Make a token for development, and print it
    Token(token::TokenArgs),
    /// Look for mistakes in the configuration, and whether the store can be used
    Check(ConfigArgs),
    /// Give the embedded database new files, so that deleted bytes leave the disk; the server must
    /// be stopped
    Rewrite(ConfigArgs),
}

/// Where the configuration is, and what the command line changes in it.
#[derive(Debug, Clone, Default, Args)]
pub struct ConfigArgs {
    /// The configuration file [default: greenroom.toml, where it exists]
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where browsers connect, such as 127.0.0.1:8080
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Where the journal is kept: surrealkv://DIRECTORY, memory, ws://HOST:PORT or wss://HOST:PORT
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// Worker threads; 0 is one per core
    #[arg(long, value_name = "N")]
    pub workers: Option<String>,
    /// Where /metrics, /live and /ready are; an empty string turns them off
    #[arg(long, value_name = "ADDRESS")]
    pub metrics_listen: Option<String>,
    /// Which log lines there are, such as "info" or "info,greenroom=debug"
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
    /// How log lines look
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
}

impl ConfigArgs {
    /// Reads the configuration with these flags on top.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        crate::config::load(&self.overrides())
    }

    fn overrides(&self) -> Overrides {
        let format = self.log_format.map(|format| match format {
            LogFormat::Text => "text".to_owned(),
            LogFormat::Json => "json".to_owned(),
        });
        let flags = [
            ("listen", "--listen", self.listen.clone()),
            ("store.url", "--store", self.store.clone()),
            ("workers", "--workers", self.workers.clone()),
            ("metrics.listen", "--metrics-listen", self.metrics_listen.clone()),
            ("log.filter", "--log", self.log.clone()),
            ("log.format", "--log-format", format),
        ];
        let flags =
            flags.into_iter().filter_map(|(key, flag, value)| Some((key, flag, value?))).collect();
        Overrides { file: self.config.clone(), flags }
    }
}

/// Why a command ended without success. Says so on standard error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It was asked for something that cannot be: exit code 2.
    #[error("{0}")]
    Config(String),
    /// It went wrong: exit code 1.
    #[error("{0}")]
    Runtime(String),
}

impl Failure {
    /// Everything that is wrong with a configuration and what it names.
    pub fn of_config(failures: Vec<String>) -> Self {
        ConfigError(failures).into()
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::Runtime(_) => 1,
            Self::Config(_) => 2,
        }
    }

    /// Prints it, and hands back the exit code.
    pub fn report(&self) -> ExitCode {
        eprintln!("greenroom: {self}");
        ExitCode::from(self.code())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Config(error.to_string())
    }
}
