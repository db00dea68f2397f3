//! Runs the real binary with its own configuration and directory.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use greenroom_protocol::CodecKind;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};

use crate::client::Client;
use crate::cluster::remote::{self, Remote};

/// How long anything that should happen at once may take. Generous, because the machine may be busy
/// with other tests.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// How often to look for something that one cannot wait for.
pub const LOOKS_EVERY: Duration = Duration::from_millis(20);

/// Waits for something to happen, and panics with its name if it does not.
pub async fn within<T>(what: &str, wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(TIMEOUT, wait)
        .await
        .unwrap_or_else(|_| panic!("{what}: not within {TIMEOUT:?}"))
}

/// The binary under test.
pub fn binary() -> PathBuf {
    std::env::var_os("SERVER_BIN")
        .map_or_else(|| env!("CARGO_BIN_EXE_greenroom").into(), PathBuf::from)
}

/// The binary as a command in `directory`, without this process's configuration.
pub fn command(directory: &Path) -> Command {
    command_of(&binary(), directory)
}

fn command_of(program: &Path, directory: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GREENROOM_") {
            command.env_remove(name);
        }
    }
    command.current_dir(directory).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// A server that has not been started yet.
pub struct Builder {
    config: Vec<String>,
    store: String,
    /// Whether it may be a node of a cluster instead of a server of its own.
    may_be_node: bool,
}

impl Builder {
    /// Adds one line of TOML, such as `socket.max_in_flight = 4`.
    pub fn with(mut self, line: impl Into<String>) -> Self {
        self.config.push(line.into());
        self
    }

    /// Is never a node of a cluster: the test is about this very process.
    pub fn alone(self) -> Self {
        Self { may_be_node: false, ..self }
    }

    /// Keeps the store in a directory that outlives the process.
    pub fn durable(self) -> Self {
        self.stored_in("surrealkv://data")
    }

    /// Keeps the store at this URL.
    pub fn stored_in(self, url: impl Into<String>) -> Self {
        Self { store: url.into(), ..self.alone() }
    }

    /// Lifts the rate limits, for tests of something else.
    pub fn unlimited(self) -> Self {
        let rates =
            ["requests", "user_requests", "anonymous_requests", "user_wakes", "address_wakes"].map(
                |scope| {
                    format!("limits.{scope}_per_second = 1000000\nlimits.{scope}_burst = 1000000")
                },
            );
        self.with(rates.join("\n"))
            .with("limits.bytes_per_second = \"1000MiB\"\nlimits.bytes_burst = \"1000MiB\"")
            .with("limits.user_awake = 1000000\nlimits.address_awake = 1000000")
            .with("limits.connections_per_address_per_second = 100000\nlimits.connections_per_address_burst = 100000")
    }

    /// Writes the configuration file and starts the server.
    pub async fn start(self) -> Server {
        let stopped = self.prepare();
        stopped.start().await
    }

    /// Only writes the configuration file.
    pub fn prepare(self) -> Stopped {
        let directory = tempfile::tempdir().expect("a temporary directory can be created");
        let rest = self.config.join("\n");
        let owner = (self.may_be_node && remote::is_wanted())
            .then(|| Owner::Wanted { config: rest.clone() });
        write_config(directory.path(), &format!("store.url = \"{}\"\n{rest}", self.store));
        Stopped { owner: owner.unwrap_or(Owner::Itself), ..Stopped::node(directory) }
    }
}

/// Writes the configuration of a server that chooses its ports.
pub fn write_config(directory: &Path, rest: &str) {
    let text = format!("listen = \"127.0.0.1:0\"\nmetrics.listen = \"127.0.0.1:0\"\n{rest}\n");
    std::fs::write(directory.join("greenroom.toml"), text)
        .expect("a temporary directory can be written to");
}

/// Who owns the entities of a server.
pub enum Owner {
    Itself,
    /// Another node, which is to be started.
    Wanted {
        config: String,
    },
    /// Another node, which runs.
    Running(Box<Remote>),
}

/// A server that is not running, and its directory.
pub struct Stopped {
    pub directory: TempDir,
    owner: Owner,
    program: PathBuf,
    environment: Vec<(String, String)>,
}

impl Stopped {
    /// A node of a cluster, whose configuration is in this directory.
    pub fn node(directory: TempDir) -> Self {
        Self { directory, owner: Owner::Itself, program: binary(), environment: Vec::new() }
    }

    /// Runs this program instead of the binary under test.
    pub fn running(self, program: PathBuf) -> Self {
        Self { program, ..self }
    }

    /// Adds variables to its environment.
    pub fn with_environment(mut self, more: Vec<(String, String)>) -> Self {
        self.environment.extend(more);
        self
    }

    /// Starts the server and waits until it prints its addresses.
    pub async fn start(self) -> Server {
        self.start_with(&[]).await
    }

    /// The same with more arguments.
    pub async fn start_with(mut self, arguments: &[&str]) -> Server {
        if let Owner::Wanted { config } = &self.owner {
            let remote = Remote::start(config).await;
            write_config(self.directory.path(), &remote.config_of_gateway(config));
            self.owner = Owner::Running(Box::new(remote));
        }
        let is_gateway = matches!(self.owner, Owner::Running(_));
        let server = self.run(arguments).await;
        if is_gateway {
            server.until("greenroom_ready", |value| value == 1.0).await;
        }
        server
    }

    /// Starts the process.
    async fn run(self, arguments: &[&str]) -> Server {
        let log_path = self.directory.path().join("log");
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&log_path)
            .expect("the log can be opened");
        let mut child = command_of(&self.program, self.directory.path())
            .arg("serve")
            .args(arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start `{}`: {error}", self.program.display()));
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let lines = within("the server's addresses", announced(&mut stdout)).await;
        let find = |name: &str| {
            let line = lines
                .iter()
                .find_map(|line| line.trim().strip_prefix(name)?.trim().strip_prefix("http://"));
            let Some(line) = line else {
                panic!(
                    "no line `{name}` among {lines:?}; log:\n{}",
                    std::fs::read_to_string(&log_path).unwrap_or_default()
                )
            };
            line.split('/').next().expect("a split has a first part").parse().expect("an address")
        };
        let address = find("open");
        let admin = find("metrics");
        Server {
            child,
            _stdout: stdout,
            address,
            admin,
            directory: Some(self.directory),
            owner: self.owner,
            program: self.program,
            environment: self.environment,
        }
    }
}

async fn announced(stdout: &mut Lines<BufReader<ChildStdout>>) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(line) = stdout.next_line().await.expect("the server's output is text") {
        let last = line.trim_start().starts_with("store");
        lines.push(line);
        if last {
            break;
        }
    }
    lines
}

/// A running server. When dropped it is killed, and a panic in its log fails the test.
pub struct Server {
    child: Child,
    /// Kept open, because the server fails to write if its output is closed.
    _stdout: Lines<BufReader<ChildStdout>>,
    /// The address that clients connect to.
    pub address: SocketAddr,
    /// The operators' address.
    pub admin: SocketAddr,
    directory: Option<TempDir>,
    owner: Owner,
    program: PathBuf,
    environment: Vec<(String, String)>,
}

impl Server {
    /// A server with an in-memory store and the default configuration.
    pub fn builder() -> Builder {
        Builder { config: Vec::new(), store: "memory".into(), may_be_node: true }
    }

    /// The server's working directory.
    pub fn path(&self) -> &Path {
        self.directory.as_ref().expect("only a stopped server has no directory").path()
    }

    /// Everything it has logged so far, including earlier runs.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path().join("log")).unwrap_or_default()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// The process's memory in bytes: `VmRSS` for its current size, or `VmHWM` for its largest size
    /// so far.
    pub fn memory(&self, figure: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))
            .expect("it is running, on Linux");
        let line = status.lines().find_map(|line| {
            line.strip_prefix(figure)?.strip_prefix(':')?.trim().strip_suffix(" kB")
        });
        line.and_then(|kilobytes| kilobytes.parse::<u64>().ok()).expect("the system reports it")
            * 1024
    }

    /// Waits until it has logged this text. Polls, since one cannot wait on a log.
    pub async fn until_logged(&self, text: &str) {
        let mut looks = tokio::time::interval(LOOKS_EVERY);
        let seen = async {
            while !self.log().contains(text) {
                looks.tick().await;
            }
        };
        within(text, seen).await;
    }

    /// Opens a WebSocket on which nothing has been sent yet.
    pub async fn open(&self, codec: CodecKind) -> Client {
        Client::open(self.address, codec).await
    }

    /// Connects an anonymous client.
    pub async fn client(&self, codec: CodecKind) -> Client {
        self.join(codec, json!({})).await.0
    }

    /// Connects a client with these params. Returns the client and the result of `connect`.
    pub async fn join(&self, codec: CodecKind, params: Value) -> (Client, Value) {
        let mut client = self.open(codec).await;
        let hello = client.ok("connect", params).await;
        (client, hello)
    }

    /// Kills the server as a power cut would: SIGKILL.
    pub async fn kill(mut self) -> Stopped {
        self.child.start_kill().expect("the process is ours");
        within("the end of the process", self.child.wait()).await.expect("it can be waited for");
        self.stopped()
    }

    fn stopped(&mut self) -> Stopped {
        let directory = self.directory.take().expect("a running server has a directory");
        Stopped {
            directory,
            owner: std::mem::replace(&mut self.owner, Owner::Itself),
            program: self.program.clone(),
            environment: self.environment.clone(),
        }
    }

    /// Asks the server to stop: SIGTERM.
    pub async fn terminate(&self) {
        self.signal("-TERM").await;
    }

    /// Sends it a signal: `-STOP` suspends it, `-CONT` resumes it.
    pub async fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        let sent =
            Command::new("kill").args([signal, &pid]).status().await.expect("`kill` can be run");
        assert!(sent.success(), "`kill {signal} {pid}` failed");
    }

    /// Waits until the server has exited.
    pub async fn ended(mut self) -> (ExitStatus, Stopped) {
        let status = within("the end of the process", self.child.wait())
            .await
            .expect("it can be waited for");
        let stopped = self.stopped();
        (status, stopped)
    }

    /// Asserts that it still serves: the process is alive, nothing has panicked, and a new client's
    /// op is committed and comes back as an event.
    pub async fn assert_serves(&mut self) {
        assert_eq!(
            self.child.try_wait().expect("it can be asked"),
            None,
            "the server has ended; log:\n{}",
            self.log()
        );
        let mut client = self.client(CodecKind::Json).await;
        let entity = format!("room:check-{}", fastrand::u64(..));
        client.ok("subscribe", json!({"entity": entity})).await;
        client.ok("send", json!({"entity": entity, "type": "post", "body": {}, "n": 1})).await;
        assert_eq!(client.event().await["seq"], 1);
        for line in self.scrape().await.lines() {
            let panics = line.starts_with("greenroom_actor_panics_total{");
            assert!(!panics || line.ends_with(" 0"), "{line}; log:\n{}", self.log());
        }
    }

    pub async fn scrape(&self) -> String {
        let (status, body) = self.admin_get("/metrics").await;
        assert_eq!(status, 200);
        body
    }

    /// The value of one series, such as `greenroom_ops_total{kind="room",outcome="accepted"}`; 0 if
    /// it does not exist yet.
    ///
    /// What another node counts for this one, because it owns the entities, is added.
    pub async fn sample(&self, series: &str) -> f64 {
        let name = series.split('{').next().unwrap_or(series);
        let adds_up = name.ends_with("_total") || name.starts_with("greenroom_entities");
        match &self.owner {
            Owner::Running(remote) if adds_up => {
                self.own_sample(series).await + remote.owner.own_sample(series).await
            }
            _ => self.own_sample(series).await,
        }
    }

    async fn own_sample(&self, series: &str) -> f64 {
        let scrape = self.scrape().await;
        let line = scrape.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().expect("a sample is a number"))
    }

    /// Waits until `wanted` accepts the value of a series, for things that show nowhere else.
    /// Polls, since one cannot wait on metrics.
    pub async fn until(&self, series: &str, wanted: impl Fn(f64) -> bool) {
        let mut looks = tokio::time::interval(LOOKS_EVERY);
        let seen = async {
            while !wanted(self.sample(series).await) {
                looks.tick().await;
            }
        };
        within(series, seen).await;
    }

    /// Sends a request to the operators' listener and returns the status and the body.
    pub async fn admin_get(&self, path: &str) -> (u16, String) {
        http_get(self.admin, path).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(directory) = &self.directory else { return };
        let log = std::fs::read_to_string(directory.path().join("log")).unwrap_or_default();
        if std::thread::panicking() {
            let tail: Vec<_> = log.lines().rev().take(40).collect();
            for line in tail.iter().rev() {
                eprintln!("server: {line}");
            }
        } else {
            assert!(!log.contains("panicked at"), "the server has panicked:\n{log}");
        }
    }
}

/// Sends a plain HTTP request and returns the status and the body.
pub async fn http_get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut socket =
        within("the connection", TcpStream::connect(address)).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.expect("the request is sent");
    let mut answer = Vec::new();
    within("the answer", socket.read_to_end(&mut answer)).await.expect("the answer can be read");
    let answer = String::from_utf8(answer).expect("the answer is text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .expect("an answer has a status");
    if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        (status, unchunked(body))
    } else {
        (status, body.to_owned())
    }
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).expect("a chunk has a size");
        if size == 0 {
            break;
        }
        whole.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
    }
    whole
}
