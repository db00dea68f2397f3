//! Greenroom as a library: a server inside a process of yours.
//!
//! ```no_run
//! use greenroom::{App, Config, listen};
//!
//! # fn main() -> Result<(), greenroom::Failure> {
//! let mut config = Config::default();
//! config.store.url = "memory".to_owned();
//! actix_rt::System::new().block_on(async {
//!     let listener = listen(&config)?;
//!     App::build(config).await?.run(listener, std::future::pending()).await
//! })
//! # }
//! ```
//!
//! The binary is this and a command line. Logs go to `tracing`, metrics to the process' recorder of
//! the crate `metrics`, which the first server installs.

pub mod allocator;
pub mod cli;
pub mod config;
pub mod nats;
#[doc(hidden)]
pub mod release;
pub mod store;

mod accept;
mod address;
mod admin;
mod app;
mod auth;
mod canary;
mod cluster;
mod erasures;
mod failure;
mod http;
mod logging;
mod metrics;
mod open_files;
mod origin;
mod shutdown;
mod static_files;
mod worker;
mod ws;

pub use app::{App, Running, listen};
pub use config::Config;
pub use failure::Failure;
pub use static_files::StaticDir;
