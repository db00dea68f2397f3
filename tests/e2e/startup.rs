//! Mistakes that prevent the server from starting, and how it reports them.

use std::process::Output;

use crate::server::{Builder, Server, Stopped, command, within};

/// Runs `greenroom` to its end in the directory of `stopped`.
async fn run(stopped: &Stopped, arguments: &[&str]) -> Output {
    within("the end of the process", command(stopped.directory.path()).args(arguments).output())
        .await
        .expect("the binary runs")
}

/// Runs `serve`, which must fail with this exit code. Returns its error output.
async fn refused(builder: Builder, code: i32) -> String {
    let output = run(&builder.prepare(), &["serve"]).await;
    let says = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{says}");
    assert!(output.stdout.is_empty(), "nothing is announced");
    says
}

#[tokio::test]
async fn all_mistakes_are_listed_at_once() {
    let builder = Server::builder()
        .with("socket.max_in_flight = 0")
        .with("socket.idle_timeout = \"1s\"")
        .with("limits.abuse_after = 0")
        .with("kinds.room.behaviour = \"room\"\nkinds.room.max_depth = 3");
    let says = refused(builder, 2).await;
    for key in [
        "socket.max_in_flight",
        "socket.idle_timeout",
        "limits.abuse_after",
        "kinds.room.max_depth",
    ] {
        assert!(says.contains(key), "no `{key}` in: {says}");
    }
    assert!(says.contains("greenroom.toml"), "it names the file: {says}");
}

#[tokio::test]
async fn mistakes_are_named() {
    for (line, names) in [
        ("sockets.max_in_flight = 1", "sockets"),
        ("socket.max_inflight = 1", "max_inflight"),
        ("socket.ping_interval = 25", "socket.ping_interval"),
        ("socket.max_message_bytes = \"many\"", "socket.max_message_bytes"),
        ("auth.secret = \"short\"", "auth.secret"),
        ("auth.jwks_file = \"missing.json\"", "missing.json"),
        ("kinds.Room.behaviour = \"room\"", "kinds.Room"),
        ("this is not toml", "greenroom.toml"),
    ] {
        let says = refused(Server::builder().with(line), 2).await;
        assert!(says.contains(names), "{line}: no `{names}` in: {says}");
        assert!(!says.contains("short\""), "no message shows a secret: {says}");
    }
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let other = Server::builder().start().await;
    let address = other.address.to_string();
    let admin = other.admin.to_string();
    for (flag, taken) in [("--listen", &address), ("--metrics-listen", &admin)] {
        let output = run(&Server::builder().prepare(), &["serve", flag, taken]).await;
        let says = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{says}");
        assert!(says.contains(taken) && says.contains("listen"), "{says}");
    }
}

#[tokio::test]
async fn a_data_directory_is_used_by_one_process() {
    let first = Server::builder().durable().start().await;
    let data = format!("surrealkv://{}", first.path().join("data").display());
    let output = run(&Server::builder().prepare(), &["serve", "--store", &data]).await;
    let says = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{says}");
    assert!(says.contains("another process") && says.contains("data"), "{says}");
    let mut first = first.kill().await.start().await;
    first.assert_serves().await;
}

#[tokio::test]
async fn the_environment_overrides_the_file() {
    let stopped = Server::builder().with("socket.max_in_flight = 7").prepare();
    let mut command = command(stopped.directory.path());
    let output = command
        .arg("check")
        .env("GREENROOM_SOCKET__MAX_IN_FLIGHT", "0")
        .env("GREENROOM_PORT", "tcp://10.0.0.1:80")
        .output();
    let output = within("the check", output).await.expect("the binary runs");
    let says = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{says}");
    assert!(says.contains("GREENROOM_SOCKET__MAX_IN_FLIGHT"), "{says}");
}
