//! A NATS server for tests: those of the wire, and end to end.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

/// A server process on loopback, killed on drop.
pub struct Server {
    child: Child,
    ports: Ports,
    name: String,
    lines: String,
    directory: TempDir,
}

/// Where a server listens for clients and, in a cluster, for other servers.
#[derive(Debug, Clone, Copy, Default)]
struct Ports {
    clients: Option<u16>,
    routes: Option<u16>,
}

impl Server {
    /// Starts a server on a port that it chooses, with these lines in its configuration, and waits
    /// until it takes connections.
    pub fn start(lines: &str) -> Self {
        Self::start_on(Ports::default(), lines)
    }

    /// Starts a server on this port.
    pub fn start_on_port(port: u16, lines: &str) -> Self {
        Self::start_on(Ports { clients: Some(port), routes: None }, lines)
    }

    /// Starts servers that make a cluster.
    pub fn start_cluster<const N: usize>(lines: &str) -> [Self; N] {
        let mut port = None;
        std::array::from_fn(|_| {
            let server = Self::start_with_route(port, lines);
            port.get_or_insert(server.route_port());
            server
        })
    }

    /// Starts a server of a cluster, which connects to another one through this port.
    pub fn start_with_route(port: Option<u16>, lines: &str) -> Self {
        let routes = port.map(|port| format!("\"nats://127.0.0.1:{port}\"")).unwrap_or_default();
        let listen = "listen: \"127.0.0.1:-1\", no_advertise: true";
        Self::start(&format!("cluster {{ name: test, {listen}, routes: [{routes}] }}\n{lines}"))
    }

    /// Where other servers connect to.
    pub fn route_port(&self) -> u16 {
        self.ports.routes.expect("a server of a cluster listens for others")
    }

    fn start_on(ports: Ports, lines: &str) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let name = format!("server-{}", STARTED.fetch_add(1, Ordering::Relaxed));
        let directory = TempDir::new().expect("a temporary directory can be created");
        let (child, ports) = run(directory.path(), &name, ports, lines);
        Self { child, ports, name, lines: lines.into(), directory }
    }

    /// Kills the server without a chance to say goodbye.
    pub fn kill(&mut self) {
        self.child.kill().expect("the process is ours");
        self.child.wait().expect("it can be waited for");
    }

    /// Starts the server again, on the same ports and with the same configuration.
    pub fn restart(&mut self) {
        let mut lines = self.lines.clone();
        if let Some(port) = self.ports.routes {
            lines = lines.replacen("127.0.0.1:-1", &format!("127.0.0.1:{port}"), 1);
        }
        let (child, _same) = run(self.directory.path(), &self.name, self.ports, &lines);
        self.child = child;
    }

    /// Lets the server hang, with its connections open, until [`resume`](Self::resume).
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill").args([signal, &id]).status().expect("`kill` can be run").success()
        );
    }

    /// Tells the server to stop slowly, so that clients can go elsewhere.
    pub fn enter_lame_duck_mode(&self) {
        let told = Command::new(binary())
            .arg(format!("--signal=ldm={}", self.child.id()))
            .status()
            .expect("it can be run");
        assert!(told.success(), "the signal was not sent");
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.ports.clients.expect("a server listens for clients")).into()
    }

    pub fn url(&self) -> String {
        format!("nats://{}", self.address())
    }

    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may already have exited.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

fn run(directory: &Path, name: &str, ports: Ports, lines: &str) -> (Child, Ports) {
    let port = ports.clients.map_or("-1".into(), |port| port.to_string());
    let own = format!("server_name: \"{name}\"\nlisten: \"127.0.0.1:{port}\"\n{lines}");
    std::fs::write(directory.join("nats.conf"), own).expect("its directory can be written to");
    let mut child = Command::new(binary())
        .args(["--config", "nats.conf"])
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it can be run");
    // The server logs where it listens. Its log must be read to the end, or it would block when the
    // pipe is full.
    let (report, started) = std::sync::mpsc::sync_channel(1);
    let log = BufReader::new(child.stderr.take().expect("it is piped"));
    let is_in_cluster = lines.starts_with("cluster");
    std::thread::spawn(move || {
        let mut ports = Ports::default();
        let mut all = Vec::new();
        for line in log.lines().map_while(Result::ok) {
            let port = || line.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
            if line.contains("Listening for client connections") {
                ports.clients = port();
            }
            if line.contains("Listening for route connections") {
                ports.routes = port();
            }
            if ports.clients.is_some() && ports.routes.is_some() == is_in_cluster {
                let _first = report.try_send(Ok(ports));
            }
            all.push(line);
        }
        let _first = report.try_send(Err(all.join("\n")));
    });
    let started = started.recv().expect("its log is read");
    (child, started.unwrap_or_else(|log| panic!("the NATS server ended:\n{log}")))
}

/// The one that `.ci/deps test` installs, or else the one on the `PATH`.
fn binary() -> PathBuf {
    let tools = std::env::var_os("TOOLS_DIR").map_or_else(
        || {
            PathBuf::from(std::env::var_os("HOME").expect("there is a home"))
                .join(".cache/greenroom/tools")
        },
        PathBuf::from,
    );
    let installed = tools.join("venv/bin/nats-server");
    let on_path = std::env::split_paths(&std::env::var_os("PATH").expect("there is a path"))
        .map(|directory| directory.join("nats-server"))
        .find(|binary| binary.exists());
    let found = if installed.exists() { Some(installed.clone()) } else { on_path };
    found.unwrap_or_else(|| {
        panic!("`{}` is missing; `.ci/deps test` installs it", installed.display())
    })
}
