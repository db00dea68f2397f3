//! A full disk: honest errors, an exit that a supervisor notices, and no acknowledged op lost.

use std::path::{Path, PathBuf};
use std::process::Command;

use greenroom_protocol::CodecKind;
use serde_json::json;

use crate::server::Server;

const ROOM: &str = "room:archive";

/// A small in-memory file system, unmounted on drop.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one at `path`, if this user may.
    fn mount(path: &Path) -> Option<Self> {
        std::fs::create_dir_all(path).expect("a directory can be created in a temporary directory");
        run("mount", &["-t", "tmpfs", "-o", "size=24m", "tmpfs"], path)
            .then(|| Self(path.to_owned()))
    }

    fn grow(&self) {
        assert!(
            run("mount", &["-o", "remount,size=256m"], &self.0),
            "a mounted file system can be remounted"
        );
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run("umount", &["--lazy"], &self.0);
    }
}

fn run(program: &str, args: &[&str], path: &Path) -> bool {
    Command::new(program).args(args).arg(path).status().is_ok_and(|status| status.success())
}

#[tokio::test]
async fn a_full_disk_loses_no_acknowledged_ops() {
    let stopped = Server::builder().durable().unlimited().with("drain.deadline = \"2s\"").prepare();
    let Some(disk) = SmallDisk::mount(&stopped.directory.path().join("data")) else {
        eprintln!(
            "SKIPPED a_full_disk_loses_no_acknowledged_ops: this user may not mount a small disk"
        );
        return;
    };
    let server = stopped.start().await;
    let mut client = server.client(CodecKind::Json).await;
    let body = json!({"text": "x".repeat(30_000)});
    let mut acknowledged = 0;
    loop {
        let n = acknowledged + 1;
        let op = json!({"entity": ROOM, "n": n, "type": "post", "body": body});
        let Ok(id) = client.try_ask("send", op).await else { break };
        match client.try_answer(id).await {
            Ok(Ok(sent)) => {
                assert_eq!(sent["seq"], n, "one sender's ops are numbered as sent");
                acknowledged = n;
            }
            Ok(Err(error)) => {
                assert_eq!(error["data"]["code"], "unavailable", "{error}");
                assert!(error["data"]["retry_after_ms"].is_u64(), "{error}");
                break;
            }
            Err(_) => break,
        }
    }
    assert!(acknowledged > 10, "the disk was full after {acknowledged} ops");

    let (status, stopped) = server.ended().await;
    assert_eq!(status.code(), Some(1), "a supervisor must notice");
    let log =
        std::fs::read_to_string(stopped.directory.path().join("log")).expect("the log is text");
    assert!(log.contains("the store cannot be used any more"), "{log}");

    disk.grow();
    let mut server = stopped.start().await;
    let log = server.client(CodecKind::Json).await.log(ROOM).await;
    assert!(
        log.len() as u64 >= acknowledged,
        "{acknowledged} ops were acknowledged, {} are in the log",
        log.len()
    );
    assert!(log.len() as u64 <= acknowledged + 1, "only the unanswered op may be in the log too");
    for (index, event) in log.iter().enumerate() {
        assert_eq!(event["seq"], index as u64 + 1);
    }
    server.assert_serves().await;
    drop(server);
    drop(disk);
}
