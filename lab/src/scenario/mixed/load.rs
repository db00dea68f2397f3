//! How much of everything.

use serde::Serialize;

use greenroom_loadtest::common::Span;

/// The numbers of a mixed load.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Load {
    /// Sessions, spread over the rooms
    #[arg(long, default_value_t = 5000)]
    pub sessions: usize,
    /// Rooms
    #[arg(long, default_value_t = 500)]
    pub rooms: usize,
    /// Typing signals per second, of all sessions together
    #[arg(long, default_value_t = 1000.0)]
    pub signals: f64,
    /// Durable posts per second, spread over the rooms
    #[arg(long, default_value_t = 250.0)]
    pub posts: f64,
    /// Size of a post's body
    #[arg(long, default_value_t = 200)]
    pub bytes: usize,
    /// Sessions that leave per second, and come back
    #[arg(long, default_value_t = 50.0)]
    pub churn: f64,
    /// How long they stay away
    #[arg(long, default_value = "1s")]
    pub away: Span,
    /// Sessions that follow the hot room too
    #[arg(long, default_value_t = 500)]
    pub hot_followers: usize,
    /// Durable posts per second in the hot room
    #[arg(long, default_value_t = 20.0)]
    pub hot_rate: f64,
    /// Size of such a post's body
    #[arg(long, default_value_t = 8000)]
    pub hot_bytes: usize,
    /// Readers of the hot room that stop reading for a while, besides those who follow it
    #[arg(long, default_value_t = 1)]
    pub slow: usize,
    /// How long they stop
    #[arg(long, default_value = "10s")]
    pub stall: Span,
    /// Kind of the rooms
    #[arg(long, default_value = "room")]
    pub kind: String,
}
