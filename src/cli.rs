//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::app::{self, App};
use crate::config::{Config, ConfigError, Loaded, LogFormat, Overrides};
use crate::failure::Failure;
use crate::static_files::StaticDir;
use crate::{allocator, logging, shutdown, store, ws};

pub mod check;
pub mod cluster;
pub mod rewrite;
#[cfg(test)]
mod tests;
pub mod token;

/// A self-hosted realtime backend: durable rooms and documents over WebSocket, from one binary.
#[derive(Debug, Parser)]
#[command(name = "greenroom", version, arg_required_else_help = true, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  greenroom serve                                    a server on 127.0.0.1:8080, data in ./data
  greenroom serve --static .                         the same, with your own page at /
  greenroom serve --listen 0.0.0.0:8080 --store ws://db:8000
  greenroom token --sub alice --allow 'room:*=read,send' --ttl 1h
  greenroom check --config /etc/greenroom.toml
  greenroom cluster status

Configuration: every key of greenroom.toml can also be set through an environment variable, such as
GREENROOM_SOCKET__PING_INTERVAL=10s for `ping_interval` in `[socket]`. Flags override environment variables,
which override the file. docs/configuration.md lists all keys.

Exit codes: 0 success, 1 failure while running, 2 wrong usage or configuration.";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server until SIGTERM or Ctrl-C
    Serve(ServeArgs),
    /// Print a new token, for development
    Token(token::TokenArgs),
    /// Check the configuration and the store, whose schema it migrates unless a server has it open
    Check(check::CheckArgs),
    /// Rewrite the embedded database's files, so that deleted data leaves the disk; stop the server
    /// first
    Rewrite(ConfigArgs),
    /// Look at a cluster, and order the node on this machine
    Cluster(cluster::ClusterArgs),
}

/// The arguments of `serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Serve the files in this directory at / instead of the demo page, for development
    #[arg(long = "static", value_name = "DIR")]
    pub static_dir: Option<PathBuf>,
}

/// The configuration file and the flags that override it.
#[derive(Debug, Clone, Default, Args)]
pub struct ConfigArgs {
    /// The configuration file [default: greenroom.toml, if it exists]
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The address that clients connect to, such as 127.0.0.1:8080
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Where to keep the journal: surrealkv://DIRECTORY, memory, ws://HOST:PORT or wss://HOST:PORT
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// The number of worker threads; 0 means one per core
    #[arg(long, value_name = "N")]
    pub workers: Option<String>,
    /// The address of /metrics, /live and /ready; an empty string turns them off
    #[arg(long, value_name = "ADDRESS")]
    pub metrics_listen: Option<String>,
    /// Which lines to log, such as "info" or "info,greenroom=debug"
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
    /// The format of log lines
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
}

impl ConfigArgs {
    /// Reads the configuration and applies these flags.
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

/// Runs a command.
///
/// # Errors
/// Why it failed.
pub fn run(command: Command) -> Result<(), Failure> {
    // This comes first because it may re-execute the process.
    let needs_memory = !matches!(command, Command::Token(_) | Command::Cluster(_));
    let configured = if needs_memory { allocator::configure() } else { Ok(()) };
    let system = actix_rt::System::new();
    match command {
        Command::Serve(args) => {
            let page = args.static_dir.as_deref().map(StaticDir::new).transpose();
            let page = page.map_err(Failure::Config)?;
            let loaded = args.config.load()?;
            logging::start(&loaded.config.log.filter, loaded.config.log.format);
            if let Err(error) = configured {
                tracing::warn!(%error, "the allocator keeps its defaults: the store opens and closes more slowly, and uses more memory");
            }
            for name in &loaded.ignored {
                tracing::warn!(
                    "the environment variable `{name}` is not a configuration key and is ignored"
                );
            }
            system.block_on(serve(loaded.config, page))
        }
        Command::Token(args) => {
            token::run(&args, greenroom_actors::clock::wall()).map(|token| println!("{token}"))
        }
        Command::Rewrite(args) => system.block_on(rewrite::run(&args, &mut std::io::stdout())),
        Command::Cluster(args) => cluster::run(&args, &mut std::io::stdout()),
        Command::Check(args) => {
            let out = &mut std::io::stdout();
            let checked = check::run(&args.config, out, async |store, kinds| {
                store::check(store, kinds).await.map_err(|error| error.to_string())
            });
            system.block_on(checked)?;
            if args.cluster { system.block_on(check::cluster(&args.config, out)) } else { Ok(()) }
        }
    }
}

/// Serves until a signal asks the process to stop.
async fn serve(config: Config, page: Option<StaticDir>) -> Result<(), Failure> {
    let url = config.store.url.clone();
    // Listen before opening the store, so that an address in use is reported at once.
    let listener = app::listen(&config)?;
    let mut app = App::build(config).await?;
    let shown = page.as_ref().map(|page| page.path().display().to_string());
    if let Some(page) = page {
        app = app.with_page(page);
    }
    let server = app.start(listener).await?;
    println!("greenroom {}", env!("CARGO_PKG_VERSION"));
    println!("  open      http://{}/", server.address());
    println!("  socket    ws://{}{}", server.address(), ws::PATH);
    if let Some(admin) = server.admin_address() {
        println!("  metrics   http://{admin}/metrics");
    }
    if let Some(page) = shown {
        println!("  page      {page}");
    }
    println!("  store     {url}");
    server.until(shutdown::signal()).await
}
