//! The arguments that every scenario takes.

use std::path::PathBuf;

use clap::ValueEnum;
use greenroom_protocol::CodecKind;
use serde::Serialize;

use crate::span::Span;

/// How long to measure, unless a scenario has a default of its own.
pub const DURATION: &str = "10s";
/// How long to run before measuring, unless a scenario has a default of its own.
pub const WARMUP: &str = "2s";

/// Where the server is, how long to measure, and where the report goes.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Common {
    /// The server
    #[arg(long, default_value = "ws://127.0.0.1:8080/ws")]
    pub url: String,
    /// The server's metrics, for CPU per operation and memory per connection
    #[arg(long)]
    pub metrics: Option<String>,
    /// The server's process on this machine; finer than the metrics, and takes their place for CPU
    /// and memory
    #[arg(long)]
    pub pid: Option<u32>,
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
    #[arg(long, default_value = DURATION)]
    pub duration: Span,
    /// How long to run before measuring
    #[arg(long, default_value = WARMUP)]
    pub warmup: Span,
    /// Threads of this harness
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Part of every entity's name, so that a run has rooms of its own; by default different for
    /// every run
    #[arg(long)]
    pub run: Option<String>,
    /// Write the report as JSON
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub json: Option<PathBuf>,
    /// Write the report as a self-contained page with plots
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub html: Option<PathBuf>,
    /// No live progress, even on a terminal
    #[arg(long)]
    #[serde(skip)]
    pub no_progress: bool,
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
