//! A SurrealDB server for a test.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::config::{Secret, StoreConfig};

/// A server process, killed on drop.
pub struct Server {
    child: Child,
    port: u16,
    storage: String,
}

impl Server {
    /// Starts a server on a free port and waits until it listens.
    pub fn start(storage: impl Into<String>) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self::start_on(port, storage.into())
    }

    fn start_on(port: u16, storage: String) -> Self {
        let mut child = Command::new(binary())
            .args([
                "start",
                "--no-banner",
                "--user",
                "root",
                "--pass",
                "secret",
                "--bind",
                &format!("127.0.0.1:{port}"),
                &storage,
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // The server logs that it is listening. Its log must be read to the end, or it would block
        // when the pipe is full.
        let (report, started) = std::sync::mpsc::sync_channel(1);
        let log = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            let mut lines = Vec::new();
            for line in log.lines().map_while(Result::ok) {
                if line.contains("Started web server") {
                    let _first = report.try_send(Ok(()));
                }
                lines.push(line);
            }
            let _first = report.try_send(Err(lines.join("\n")));
        });
        started.recv().unwrap().unwrap_or_else(|log| panic!("the SurrealDB server ended:\n{log}"));
        // It logs that just before it binds, and nothing afterwards.
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(child.try_wait().unwrap().is_none(), "the SurrealDB server ended");
            std::thread::yield_now();
        }
        Self { child, port, storage }
    }

    /// Kills the server without a chance to clean up.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts the server again on the same port and files.
    pub fn restart(&mut self) {
        let again = Self::start_on(self.port, self.storage.clone());
        *self = again;
    }

    /// The configuration to connect to it as root.
    pub fn config(&self) -> StoreConfig {
        StoreConfig {
            url: format!("ws://127.0.0.1:{}", self.port),
            username: Some("root".into()),
            password: Some(Secret::new("secret")),
            ..StoreConfig::default()
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may already have exited.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// In the parent of the test executable's directory.
fn binary() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let binary = own.parent().unwrap().parent().unwrap().join("greenroom-dev-surrealdb");
    assert!(
        binary.exists(),
        "`{}` is missing; build it with `cargo build --release --bin greenroom-dev-surrealdb`",
        binary.display()
    );
    binary
}
