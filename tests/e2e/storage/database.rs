//! A real SurrealDB server that can be stopped, killed and started again.

use std::path::PathBuf;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::server::{Builder, Server, binary, within};

/// A server with its data on disk, killed on drop.
pub struct Database {
    child: Option<Child>,
    port: u16,
    files: TempDir,
}

impl Database {
    /// A port and a directory for a server that has not been started yet.
    pub fn prepare() -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let port = free.local_addr().expect("it has an address").port();
        Self {
            child: None,
            port,
            files: tempfile::tempdir().expect("a temporary directory can be created"),
        }
    }

    /// Starts a new server.
    pub async fn start() -> Self {
        let mut database = Self::prepare();
        database.run().await;
        database
    }

    /// Starts it and waits until it listens.
    pub async fn run(&mut self) {
        let storage = format!("surrealkv://{}?sync=every", self.directory().display());
        let mut child = Command::new(program())
            .args([
                "start",
                "--no-banner",
                "--user",
                "root",
                "--pass",
                "secret",
                "--bind",
                &format!("127.0.0.1:{}", self.port),
                &storage,
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the SurrealDB server can be run");
        let mut log = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let listens = async {
            while !log
                .next_line()
                .await
                .expect("its log is text")
                .expect("it does not end")
                .contains("Started web server")
            {}
            // It logs that just before it binds, and nothing afterwards.
            while TcpStream::connect(self.address()).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        within("the start of the SurrealDB server", listens).await;
        // It would block when the pipe is full.
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        self.child = Some(child);
    }

    /// Where its data is.
    pub fn directory(&self) -> PathBuf {
        self.files.path().join("db")
    }

    /// The address it listens on once started.
    pub fn address(&self) -> std::net::SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// Kills it without a chance to clean up.
    pub async fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        within("the end of the SurrealDB server", child.kill()).await.expect("the process is ours");
    }

    /// Sends it a signal: `-STOP` suspends it, `-CONT` resumes it.
    pub async fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().and_then(Child::id).expect("it runs").to_string();
        let sent =
            Command::new("kill").args([signal, &pid]).status().await.expect("`kill` can be run");
        assert!(sent.success(), "`kill {signal} {pid}` failed");
    }
}

/// A Greenroom server that keeps its store in the SurrealDB server at `address` and waits up to
/// `timeout` for an answer.
pub fn greenroom(address: std::net::SocketAddr, timeout: &str) -> Builder {
    Server::builder()
        .stored_in(format!("ws://{address}"))
        .with("store.username = \"root\"\nstore.password = \"secret\"")
        .with(format!("store.timeout = \"{timeout}\""))
        .unlimited()
}

/// In the same directory as the Greenroom binary.
fn program() -> PathBuf {
    let program = binary().with_file_name("greenroom-dev-surrealdb");
    assert!(
        program.exists(),
        "`{}` is missing; build it with `cargo build --release --bin greenroom-dev-surrealdb`",
        program.display()
    );
    program
}
