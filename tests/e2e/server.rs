//! A server of one's own: the real binary with a configuration and a directory of its own.

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

/// How long anything may take that should happen at once. Generous, since the machine may be busy
/// with other tests.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for what should happen, and fails by naming it where it does not.
pub async fn within<T>(what: &str, wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, wait)
        .await
        .unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// The binary under test.
pub fn binary() -> PathBuf {
    std::env::var_os("SERVER_BIN")
        .map_or_else(|| env!("CARGO_BIN_EXE_greenroom").into(), PathBuf::from)
}

/// The binary as a command in `directory`, with nothing of this process' configuration.
pub fn command(directory: &Path) -> Command {
    let mut command = Command::new(binary());
    let foreign = std::env::vars_os()
        .map(|(name, _)| name)
        .filter(|name| name.to_string_lossy().starts_with("GREENROOM_"));
    foreign.for_each(|name| {
        command.env_remove(name);
    });
    command.current_dir(directory).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// A server that is yet to be started.
pub struct Builder {
    config: Vec<String>,
    store: String,
}

impl Builder {
    /// Adds one line of TOML, such as `socket.max_in_flight = 4`.
    pub fn with(mut self, line: impl Into<String>) -> Self {
        self.config.push(line.into());
        self
    }

    /// Keeps the store in a directory, which outlives the process.
    pub fn durable(self) -> Self {
        self.stored_in("surrealkv://data")
    }

    /// Keeps the store where this URL says.
    pub fn stored_in(mut self, url: impl Into<String>) -> Self {
        self.store = url.into();
        self
    }

    /// Lifts the limits on rates, for stories that are about something else.
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

    /// Writes the configuration down and starts the server.
    pub async fn start(self) -> Server {
        let stopped = self.prepare();
        stopped.start().await
    }

    /// Only writes the configuration down.
    pub fn prepare(self) -> Stopped {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let head = format!(
            "listen = \"127.0.0.1:0\"\nmetrics.listen = \"127.0.0.1:0\"\nstore.url = \"{}\"\n",
            self.store
        );
        let text = format!("{head}{}\n", self.config.join("\n"));
        std::fs::write(directory.path().join("greenroom.toml"), text)
            .expect("a temporary directory can be written to");
        Stopped { directory }
    }
}

/// A server that does not run, with its directory.
pub struct Stopped {
    pub directory: TempDir,
}

impl Stopped {
    /// Starts it, and waits until it says where it listens.
    pub async fn start(self) -> Server {
        self.start_with(&[]).await
    }

    /// The same with more arguments.
    pub async fn start_with(self, arguments: &[&str]) -> Server {
        let log_path = self.directory.path().join("log");
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&log_path)
            .expect("the log can be opened");
        let mut child = command(self.directory.path())
            .arg("serve")
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start `{}`: {error}", binary().display()));
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let lines = within("the server says where it listens", announced(&mut stdout)).await;
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
        let (address, admin) = (find("open"), find("metrics"));
        Server { child, _stdout: stdout, address, admin, directory: Some(self.directory) }
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

/// A running server. Dropped, it is killed, and a panic in its log fails the test.
pub struct Server {
    child: Child,
    /// Kept open: a server whose output is gone cannot say more.
    _stdout: Lines<BufReader<ChildStdout>>,
    /// Where clients connect.
    pub address: SocketAddr,
    /// Where operators look.
    pub admin: SocketAddr,
    directory: Option<TempDir>,
}

impl Server {
    /// With a store in memory and the default configuration, until told otherwise.
    pub fn builder() -> Builder {
        Builder { config: Vec::new(), store: "memory".into() }
    }

    /// The directory it works in.
    pub fn path(&self) -> &Path {
        self.directory.as_ref().expect("only a stopped server has given it away").path()
    }

    /// What it has logged so far, over all its lives.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path().join("log")).unwrap_or_default()
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// A figure of the system about the process' memory in bytes: `VmRSS`, or `VmHWM` for the most
    /// there was so far.
    pub fn memory(&self, figure: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))
            .expect("it runs, on Linux");
        let line = status.lines().find_map(|line| {
            line.strip_prefix(figure)?.strip_prefix(':')?.trim().strip_suffix(" kB")
        });
        line.and_then(|kilobytes| kilobytes.parse::<u64>().ok()).expect("the system tells") * 1024
    }

    /// Waits until it has logged this: looks again and again, since a log cannot be waited on.
    pub async fn until_logged(&self, text: &str) {
        let mut looks = tokio::time::interval(Duration::from_millis(20));
        let seen = async {
            while !self.log().contains(text) {
                looks.tick().await;
            }
        };
        within(text, seen).await;
    }

    /// A socket on which nothing has been said yet.
    pub async fn open(&self, codec: CodecKind) -> Client {
        Client::open(self.address, codec).await
    }

    /// An anonymous client that has connected.
    pub async fn client(&self, codec: CodecKind) -> Client {
        self.join(codec, json!({})).await.0
    }

    /// A client that has connected with these params, and what `connect` answered.
    pub async fn join(&self, codec: CodecKind, params: Value) -> (Client, Value) {
        let mut client = self.open(codec).await;
        let hello = client.ok("connect", params).await;
        (client, hello)
    }

    /// Ends it as a power cut would: SIGKILL.
    pub async fn kill(mut self) -> Stopped {
        self.child.start_kill().expect("the process is ours");
        within("the process ends", self.child.wait()).await.expect("it can be waited for");
        Stopped { directory: self.directory.take().expect("a running server has a directory") }
    }

    /// Asks it to stop: SIGTERM.
    pub async fn terminate(&self) {
        let pid = self.pid().to_string();
        let sent =
            Command::new("kill").args(["-TERM", &pid]).status().await.expect("`kill` can be run");
        assert!(sent.success(), "`kill -TERM {pid}` failed");
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> (ExitStatus, Stopped) {
        let status =
            within("the process ends", self.child.wait()).await.expect("it can be waited for");
        (
            status,
            Stopped { directory: self.directory.take().expect("a running server has a directory") },
        )
    }

    /// That it still serves: the process lives, nothing has panicked, and a newcomer's op is
    /// committed and comes back as an event.
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
        assert!(
            !self.scrape().await.contains("\ngreenroom_actor_panics_total{"),
            "an actor has panicked; log:\n{}",
            self.log()
        );
    }

    /// One scrape.
    pub async fn scrape(&self) -> String {
        let (status, body) = self.admin_get("/metrics").await;
        assert_eq!(status, 200);
        body
    }

    /// The value of one series, such as `greenroom_ops_total{kind="room",outcome="accepted"}`; 0
    /// where there is none yet.
    pub async fn sample(&self, series: &str) -> f64 {
        let scrape = self.scrape().await;
        let line = scrape.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().expect("a sample is a number"))
    }

    /// Waits until a series has a value that is `wanted`: for what shows nowhere else. Metrics
    /// cannot be waited on, so this looks again and again.
    pub async fn until(&self, series: &str, wanted: impl Fn(f64) -> bool) {
        let mut looks = tokio::time::interval(Duration::from_millis(20));
        let seen = async {
            while !wanted(self.sample(series).await) {
                looks.tick().await;
            }
        };
        within(series, seen).await;
    }

    /// A request on the operators' listener: status and body.
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
            tail.iter().rev().for_each(|line| eprintln!("server: {line}"));
        } else {
            assert!(!log.contains("panicked at"), "the server has panicked:\n{log}");
        }
    }
}

/// A plain HTTP request: status and body.
pub async fn http_get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut socket =
        within("the connection", TcpStream::connect(address)).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.expect("the request is taken");
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
