//! `cluster`: what several nodes cost, and for how long a move or a killed node is felt.
//!
//! A database, a NATS server and three nodes on this machine, without limits. Each measurement
//! prints its rows; the CPU is that of the processes.

use std::path::PathBuf;

use anyhow::Result;
use clap::ValueEnum;
use greenroom_loadtest::server::ServerArgs;

mod events;
mod followers;
mod kills;
mod moves;
mod ops;
mod poster;
mod rig;

use rig::Rig;

/// Which binaries, and what is measured.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The server to start.
    #[command(flatten)]
    pub own: ServerArgs,
    /// The NATS server's binary; by default the one that `.ci/deps` installs, or the one on the
    /// PATH
    #[arg(long, value_name = "PATH")]
    pub nats: Option<PathBuf>,
    /// The database server's binary; by default `greenroom-dev-surrealdb` beside the server's
    #[arg(long, value_name = "PATH")]
    pub database: Option<PathBuf>,
    /// Only these
    #[arg(long, value_delimiter = ',', default_value = "ops,events,followers,moves,kills")]
    pub only: Vec<What>,
    /// Slots that are moved, one after the other
    #[arg(long, default_value_t = 200)]
    pub moves: usize,
    /// Nodes that are killed, one after the other
    #[arg(long, default_value_t = 5)]
    pub kills: usize,
}

/// The measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// A lone request at the owner of its entity, and through another node
    Ops,
    /// Signals to followers at the owner, at another node, and at two
    Events,
    /// The memory of a follower at another node
    Followers,
    /// For how long an entity does not answer when its slot moves
    Moves,
    /// The same when its node is killed
    Kills,
}

/// Measures all of it.
pub async fn run(args: Args) -> Result<()> {
    let mut rig = Rig::start(&args).await?;
    for what in &args.only {
        match what {
            What::Ops => ops::measure(&rig).await?,
            What::Events => events::measure(&rig).await?,
            What::Followers => followers::measure(&rig).await?,
            What::Moves => moves::measure(&rig, args.moves).await?,
            What::Kills => kills::measure(&mut rig, args.kills).await?,
        }
    }
    rig.stop().await;
    Ok(())
}
