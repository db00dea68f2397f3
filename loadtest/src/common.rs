//! The arguments that every scenario takes.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use greenroom_protocol::CodecKind;
use serde::{Serialize, Serializer};

use crate::server::ServerArgs;

/// Where the server is, how long to measure, and where the report goes.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Common {
    /// The server
    #[arg(long, default_value = "ws://127.0.0.1:8080/ws")]
    pub url: String,
    /// The server's metrics, for CPU per operation and memory per connection
    #[arg(long)]
    pub metrics: Option<String>,
    /// The server's process on this machine; more precise than the metrics, and used instead of
    /// them for CPU and memory
    #[arg(long)]
    pub pid: Option<u32>,
    /// The server to start instead.
    #[command(flatten)]
    #[serde(flatten)]
    pub own: ServerArgs,
    /// The JWT to present; anonymous access without one
    #[arg(long, env = "GREENROOM_TOKEN", hide_env_values = true, conflicts_with = "secret")]
    #[serde(skip)]
    pub token: Option<String>,
    /// A file with the server's HS256 secret: each session gets a token of its own
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub secret: Option<PathBuf>,
    /// The codec to speak
    #[arg(long, value_enum, default_value_t = Codec::Json)]
    pub codec: Codec,
    /// How long to measure
    #[arg(long, default_value = "10s")]
    pub duration: Span,
    /// How long to run before measuring
    #[arg(long, default_value = "2s")]
    pub warmup: Span,
    /// Threads of this harness
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Cores of this harness, as `taskset -c` takes them
    #[arg(long, value_name = "LIST")]
    pub client_cpus: Option<String>,
    /// Part of every entity's name, so that a run has rooms of its own; by default different for
    /// every run
    #[arg(long)]
    pub run: Option<String>,
    /// Where the report goes.
    #[command(flatten)]
    #[serde(skip)]
    pub output: Output,
    /// No live progress, even on a terminal
    #[arg(long)]
    #[serde(skip)]
    pub no_progress: bool,
}

/// Where a report goes, besides the terminal.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Output {
    /// Write the report as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the report as a self-contained page with plots
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// The codecs by their names on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// JSON in text frames.
    Json,
    /// MessagePack in binary frames.
    Msgpack,
}

impl From<Codec> for CodecKind {
    fn from(codec: Codec) -> Self {
        match codec {
            Codec::Json => Self::Json,
            Codec::Msgpack => Self::MsgPack,
        }
    }
}

/// A duration as people type it: `500ms`, `10s`, `2m`. In JSON it is a number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// Microseconds, the unit of everything that is measured here.
    pub fn micros(self) -> u64 {
        u64::try_from(self.0.as_micros()).unwrap_or(u64::MAX)
    }
}

impl FromStr for Span {
    type Err = humantime::DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A plain number is in seconds.
        match text.parse() {
            Ok(seconds) => Ok(Self(Duration::from_secs(seconds))),
            Err(_) => humantime::parse_duration(text).map(Self),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_typed_with_a_unit_or_in_seconds() {
        for (text, ms) in [("500ms", 500), ("10s", 10_000), ("10", 10_000), ("2m", 120_000)] {
            let span: Span = text.parse().expect("it is a duration");
            assert_eq!(span, Span(Duration::from_millis(ms)), "{text}");
        }
        assert!(["", "s", "10x", "-3s"].iter().all(|text| text.parse::<Span>().is_err()));
    }
}
