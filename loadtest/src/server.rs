//! A server of our own: a child process on free ports, with a directory that vanishes with it.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use tempfile::TempDir;

use crate::server_use;

/// How long a server may take to become ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long it may take to stop when asked to.
const STOPS_WITHIN: Duration = Duration::from_secs(30);
/// Often enough to time a start of a fifth of a second to a few percent.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Free ports are chosen from this range, below those that systems use for outgoing connections. A
/// client that dials a port of those while nothing listens there may get the same port for its own
/// end, and then the server cannot bind it when it comes back.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
const PORT_TRIES: usize = 100;

/// Limits so high that they are not what is measured, and a long history for slow readers to catch
/// up from. `--server-env` overrides them.
const ENVIRONMENT: [(&str, &str); 24] = [
    ("GREENROOM_LIMITS__REQUESTS_PER_SECOND", "1000000"),
    ("GREENROOM_LIMITS__REQUESTS_BURST", "1000000"),
    ("GREENROOM_LIMITS__BYTES_PER_SECOND", "1024MiB"),
    ("GREENROOM_LIMITS__BYTES_BURST", "1024MiB"),
    ("GREENROOM_LIMITS__USER_REQUESTS_PER_SECOND", "1000000"),
    ("GREENROOM_LIMITS__USER_REQUESTS_BURST", "1000000"),
    ("GREENROOM_LIMITS__ANONYMOUS_REQUESTS_PER_SECOND", "1000000"),
    ("GREENROOM_LIMITS__ANONYMOUS_REQUESTS_BURST", "1000000"),
    ("GREENROOM_LIMITS__USER_WAKES_PER_SECOND", "1000000"),
    ("GREENROOM_LIMITS__USER_WAKES_BURST", "1000000"),
    ("GREENROOM_LIMITS__USER_AWAKE", "1000000"),
    ("GREENROOM_LIMITS__ADDRESS_WAKES_PER_SECOND", "1000000"),
    ("GREENROOM_LIMITS__ADDRESS_WAKES_BURST", "1000000"),
    ("GREENROOM_LIMITS__ADDRESS_AWAKE", "1000000"),
    ("GREENROOM_LIMITS__CONNECTIONS_PER_ADDRESS_PER_SECOND", "1000000"),
    ("GREENROOM_LIMITS__CONNECTIONS_PER_ADDRESS_BURST", "1000000"),
    ("GREENROOM_KINDS__ROOM__BEHAVIOUR", "room"),
    ("GREENROOM_KINDS__ROOM__OPS_PER_SECOND", "10000000"),
    ("GREENROOM_KINDS__ROOM__OPS_BURST", "10000000"),
    ("GREENROOM_KINDS__ROOM__RESUME_EVENTS", "100000"),
    ("GREENROOM_KINDS__DOC__BEHAVIOUR", "document"),
    ("GREENROOM_KINDS__DOC__OPS_PER_SECOND", "10000000"),
    ("GREENROOM_KINDS__DOC__OPS_BURST", "10000000"),
    ("GREENROOM_KINDS__DOC__RESUME_EVENTS", "100000"),
];

/// Which server is started, and how.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct ServerArgs {
    /// A server's binary to start for this run, on free ports and with an empty store
    #[arg(long = "server", value_name = "PATH")]
    #[serde(rename = "server")]
    pub binary: Option<PathBuf>,
    /// The server's configuration file; without one its limits are raised out of the way
    #[arg(long, value_name = "FILE")]
    pub server_config: Option<PathBuf>,
    /// Environment of the server, besides its addresses and its store
    #[arg(long, value_name = "NAME=VALUE")]
    #[serde(skip)]
    pub server_env: Vec<String>,
    /// The server's store; `{dir}` stands for a fresh directory
    #[arg(long, default_value = "surrealkv://{dir}/data")]
    pub store: String,
    /// Cores of the server, as `taskset -c` takes them
    #[arg(long, value_name = "LIST")]
    pub server_cpus: Option<String>,
}

/// How servers are started; servers of one setup use the same data, one after the other.
pub struct Setup {
    binary: PathBuf,
    args: ServerArgs,
    dir: TempDir,
    /// Environment besides what every server gets.
    environment: Vec<(String, String)>,
    limits_count: bool,
}

#[derive(Debug, Clone, Copy)]
pub struct Place {
    listen: SocketAddr,
    metrics: SocketAddr,
}

/// A running server. It is killed when this is dropped.
pub struct Server {
    child: Child,
    place: Place,
}

impl Setup {
    /// With an empty directory.
    pub fn new(args: &ServerArgs) -> Result<Self> {
        let binary = args.binary.clone().context("`--server PATH` is required")?;
        let dir = TempDir::with_prefix("greenroom-loadtest-")
            .context("there is no temporary directory")?;
        Ok(Self { binary, args: args.clone(), dir, environment: Vec::new(), limits_count: false })
    }

    /// Leaves the server's limits as they are by default: they are what is measured.
    pub fn let_limits_count(&mut self) {
        self.limits_count = true;
    }

    /// Sets one more variable of the server's environment, which `--server-env` may set otherwise.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where the store keeps its files, if it is an embedded one; otherwise the directory.
    pub fn data(&self) -> PathBuf {
        self.store()
            .strip_prefix("surrealkv://")
            .map_or_else(|| self.dir().to_owned(), PathBuf::from)
    }

    fn store(&self) -> String {
        self.args.store.replace("{dir}", &self.dir().to_string_lossy())
    }

    fn command(&self) -> Command {
        let args = &self.args;
        let mut command = match &args.server_cpus {
            Some(cpus) => {
                let mut command = Command::new("taskset");
                command.args(["-c", cpus]).arg(&self.binary);
                command
            }
            None => Command::new(&self.binary),
        };
        command.arg("serve");
        if let Some(config) = &args.server_config {
            // A file of the operator's own is taken as it is.
            command.arg("--config").arg(config);
        } else {
            if !self.limits_count {
                command.envs(ENVIRONMENT);
            }
            command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        }
        // That one is for this harness.
        command.env_remove("GREENROOM_TOKEN");
        command.envs(args.server_env.iter().filter_map(|pair| pair.split_once('=')));
        command
    }
}

impl Place {
    pub fn free() -> Result<Self> {
        Ok(Self { listen: free_address()?, metrics: free_address()? })
    }

    /// Where clients connect, and operators.
    pub fn addresses(self) -> (SocketAddr, SocketAddr) {
        (self.listen, self.metrics)
    }
}

impl Server {
    /// Starts one at free addresses and waits until it is ready.
    pub fn start(setup: &Setup) -> Result<Self> {
        Self::start_at(setup, Place::free()?)
    }

    /// Starts one where another was, and waits until it is ready.
    pub fn start_at(setup: &Setup, place: Place) -> Result<Self> {
        Self::start_with(setup, place, |_| {})
    }

    /// The same, once `change` has made its changes to the command.
    pub fn start_with(
        setup: &Setup,
        place: Place,
        change: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        let Place { listen, metrics } = place;
        let mut command = setup.command();
        command
            .env("GREENROOM_LISTEN", listen.to_string())
            .env("GREENROOM_METRICS__LISTEN", metrics.to_string())
            .env("GREENROOM_STORE__URL", setup.store())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        change(&mut command);
        let child = command.spawn().with_context(|| {
            format!("`{}` cannot be started", command.get_program().to_string_lossy())
        })?;
        let mut server = Self { child, place };
        let began = Instant::now();
        while server_use::get(&format!("http://{metrics}/ready")).is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("the server ended before it was ready: {status}");
            }
            if began.elapsed() > READY_WITHIN {
                bail!("the server was not ready within {} s", READY_WITHIN.as_secs());
            }
            wait_a_little();
        }
        Ok(server)
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("ws://{}/ws", self.place.listen)
    }

    /// The address of that.
    pub fn address(&self) -> SocketAddr {
        self.place.listen
    }

    pub fn metrics(&self) -> String {
        format!("http://{}/metrics", self.place.metrics)
    }

    /// Its process: `taskset` becomes the program that it starts.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn place(&self) -> Place {
        self.place
    }

    /// Its exit status if it has ended by itself.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("the state of the server's process is not known")
    }

    /// Sends SIGTERM and waits for a clean exit.
    pub fn stop(mut self) -> Result<()> {
        signal(self.pid(), "-TERM")?;
        let began = Instant::now();
        while began.elapsed() < STOPS_WITHIN {
            if let Some(status) = self.child.try_wait()? {
                return if status.success() {
                    Ok(())
                } else {
                    bail!("the server did not stop well: {status}")
                };
            }
            wait_a_little();
        }
        bail!("the server did not stop within {} s", STOPS_WITHIN.as_secs())
    }

    /// Sends SIGKILL, which is like a crash: it says no goodbye and writes nothing.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill().context("the server is gone already")?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After `stop` and `kill` there is nothing left to kill, and that is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keeps this process, and the threads it will start, on these cores.
pub fn pin_this_process(cpus: &str) -> Result<()> {
    let pid = std::process::id().to_string();
    let status =
        Command::new("taskset").args(["-a", "-p", "-c", cpus, &pid]).stdout(Stdio::null()).status();
    if !status.context("`taskset` cannot be run")?.success() {
        bail!("`taskset` does not take `{cpus}`");
    }
    Ok(())
}

/// Sends a signal to a process, such as `-TERM`.
pub fn signal(pid: u32, signal: &str) -> Result<()> {
    let sent = Command::new("kill").args([signal, &pid.to_string()]).status();
    if !sent.context("`kill` cannot be run")?.success() {
        bail!("there is no process {pid} any more");
    }
    Ok(())
}

/// Waits a moment before something is checked again.
#[expect(
    clippy::disallowed_methods,
    reason = "its callers have nothing to do until the server has changed, and a thread of their own"
)]
pub fn wait_a_little() {
    std::thread::sleep(LOOK_EVERY);
}

/// A port that was free a moment ago.
pub fn free_address() -> Result<SocketAddr> {
    let tries = (0..PORT_TRIES).map(|_| SocketAddr::from(([127, 0, 0, 1], fastrand::u16(PORTS))));
    let mut free = tries.filter(|address| TcpListener::bind(address).is_ok());
    free.next().context("there is no free port")
}
