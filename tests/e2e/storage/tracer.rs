//! Makes a server's system calls fail or take long, using `strace`.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use crate::server::{Server, within};

/// A fault that lasts until it is lifted.
pub struct Tracer {
    strace: Child,
    _says: Lines<BufReader<ChildStderr>>,
}

impl Tracer {
    /// Makes the server's flushes end as `how` says, in the syntax of strace's `inject`, if this
    /// user may trace; otherwise prints that the test is skipped.
    pub async fn flushes(server: &Server, how: &str, test: &str) -> Option<Self> {
        let log = server.path().join("strace");
        let started = Command::new("strace")
            .args([
                "-f",
                "-e",
                "trace=fsync,fdatasync",
                "-e",
                &format!("inject=fsync,fdatasync:{how}"),
                "-o",
            ])
            .arg(log)
            .args(["-p", &server.pid().to_string()])
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let Ok(mut strace) = started else {
            eprintln!("SKIPPED {test}: there is no `strace`");
            return None;
        };
        let mut says = BufReader::new(strace.stderr.take().expect("it is piped")).lines();
        let said = within("the start of strace", says.next_line())
            .await
            .expect("its output is text")
            .unwrap_or_default();
        if !said.contains("attached") {
            eprintln!("SKIPPED {test}: this user may not trace: {said}");
            return None;
        }
        Some(Self { strace, _says: says })
    }

    /// Ends the fault.
    pub async fn lift(mut self) {
        let pid = self.strace.id().expect("it runs").to_string();
        let sent =
            Command::new("kill").args(["-TERM", &pid]).status().await.expect("`kill` can be run");
        assert!(sent.success(), "`kill -TERM {pid}` failed");
        within("the end of strace", self.strace.wait()).await.expect("it can be waited for");
    }
}
