//! A SurrealDB server for a test.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::config::{Secret, StoreConfig};

/// A server process, killed with the value.
pub struct Server {
    child: Child,
    port: u16,
    storage: String,
}

impl Server {
    /// Starts one on a free port and waits until it listens.
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
        // It logs that it listens; and its log must be read, or it would stop when the pipe is
        // full.
        let (listens, told) = std::sync::mpsc::sync_channel(1);
        let log = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            let mut lines = Vec::new();
            for line in log.lines().map_while(Result::ok) {
                if line.contains("Started web server") {
                    let _told = listens.try_send(Ok(()));
                }
                lines.push(line);
            }
            let _told = listens.try_send(Err(lines.join("\n")));
        });
        told.recv().unwrap().unwrap_or_else(|log| panic!("the SurrealDB server ended:\n{log}"));
        // It says so just before it binds, and nothing after that.
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(child.try_wait().unwrap().is_none(), "the SurrealDB server ended");
            std::thread::yield_now();
        }
        Self { child, port, storage }
    }

    /// Ends it without a chance to tidy up.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same port and files.
    pub fn restart(&mut self) {
        let again = Self::start_on(self.port, self.storage.clone());
        *self = again;
    }

    /// How to reach it as root.
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
        // It may be dead already.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Beside the directory of the test's own executable.
fn binary() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let binary = own.parent().unwrap().parent().unwrap().join("greenroom-dev-surrealdb");
    assert!(
        binary.exists(),
        "`{}` is missing; `cargo build --release --bin greenroom-dev-surrealdb` makes it",
        binary.display()
    );
    binary
}
