//! What operators do besides `serve`: check a configuration, observe a starting process, keep the
//! data private.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use greenroom_protocol::CodecKind;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::server::{Server, command, http_get, within};
use crate::token::{SECRET, mint};

async fn run(
    directory: &std::path::Path,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> (Option<i32>, String, String) {
    let mut command = command(directory);
    let output = within(
        "the end of the process",
        command.args(arguments).envs(environment.iter().copied()).output(),
    )
    .await
    .expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn check_leaves_nothing_behind() {
    let stopped = Server::builder().durable().prepare();
    let directory = stopped.directory.path();
    let (code, out, err) = run(directory, &["check"], &[]).await;
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("there is no data yet"), "{out}");
    let left: Vec<_> = std::fs::read_dir(directory)
        .expect("it is there")
        .map(|entry| entry.expect("it can be read").file_name())
        .collect();
    assert_eq!(left, ["greenroom.toml"]);
    let (code, out, err) = run(directory, &["check", "--store", "surrealkv://a/b/c"], &[]).await;
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(!directory.join("a").exists());
    let (code, out, _) =
        run(directory, &["check", "--store", "surrealkv:///proc/nowhere/data"], &[]).await;
    assert!(code == Some(1) && out.contains("FAIL"), "{out}");
}

#[tokio::test]
async fn check_works_while_a_server_is_running() {
    let mut server = Server::builder().durable().start().await;
    let (code, out, err) = run(server.path(), &["check"], &[]).await;
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(
        out.contains("a running process (pid ") && out.contains(&server.pid().to_string()),
        "{out}"
    );
    server.assert_serves().await;
    let stopped = server.kill().await;
    let (code, out, err) = run(stopped.directory.path(), &["check"], &[]).await;
    assert!(code == Some(0) && out.contains("schema version"), "{out}{err}");
}

#[tokio::test]
async fn check_lists_every_mistake() {
    let stopped = Server::builder()
        .with("socket.max_inflight = 1")
        .with("socket.ping_interval = 25")
        .with("limits.abuse_after = 0")
        .with("auth.jwks_file = \"missing.json\"")
        .with("kinds.Room.behaviour = \"room\"")
        .with("kinds.doc.behaviour = \"paper\"")
        .stored_in("surrealkv:///proc/nowhere")
        .prepare();
    let (code, out, err) =
        run(stopped.directory.path(), &["check"], &[("GREENROOM_WORKERS", "many")]).await;
    assert_eq!(code, Some(2), "{out}{err}");
    for part in [
        "socket.max_inflight",
        "socket.ping_interval",
        "limits.abuse_after",
        "missing.json",
        "kinds.Room",
        "kinds.doc.behaviour",
        "/proc/nowhere",
        "GREENROOM_WORKERS",
    ] {
        assert!(out.contains(part), "no `{part}` in:\n{out}");
        assert!(err.contains(part), "no `{part}` in:\n{err}");
    }
    assert!(
        !out.contains("kinds.doc.behaviour` is not set"),
        "a rejected value does not count as missing:\n{out}"
    );
}

#[tokio::test]
async fn the_environment_can_name_the_configuration_file() {
    let stopped = Server::builder().prepare();
    let directory = stopped.directory.path();
    std::fs::write(
        directory.join("other.toml"),
        "store.url = \"memory\"\nsocket.max_in_flight = 0\n",
    )
    .expect("it can be written");
    let (code, _, err) = run(directory, &["check"], &[("GREENROOM_CONFIG", "other.toml")]).await;
    assert!(
        code == Some(2) && err.contains("socket.max_in_flight") && err.contains("other.toml"),
        "{err}"
    );
    let (code, out, err) = run(
        directory,
        &["check", "--config", "greenroom.toml"],
        &[("GREENROOM_CONFIG", "other.toml")],
    )
    .await;
    assert!(code == Some(0), "a flag takes precedence: {out}{err}");
    let (code, _, err) = run(directory, &["check"], &[("GREENROOM_CONFIG", "missing.toml")]).await;
    assert!(code == Some(2) && err.contains("missing.toml"), "{err}");
}

#[tokio::test]
async fn the_data_is_private_to_its_user() {
    let mode = |path: &std::path::Path| {
        std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777
    };
    let server = Server::builder().durable().start().await;
    let data = server.path().join("data");
    assert_eq!((mode(&data), mode(&data.join("greenroom.lock"))), (0o700, 0o600));
    let stopped = server.kill().await;
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    let mut server = stopped.start().await;
    assert_eq!(mode(&data), 0o700);
    assert!(
        server.log().contains("is now private") && server.log().contains("0755"),
        "{}",
        server.log()
    );
    server.assert_serves().await;
}

/// A token for a kind that is not configured would grant nothing, so it is not made.
#[tokio::test]
async fn a_token_for_an_unknown_kind_is_refused() {
    let stopped = Server::builder().with(SECRET).with("kinds.lobby.behaviour = \"room\"").prepare();
    let directory = stopped.directory.path();
    for pattern in ["room:*", "lobbies*", "lobb:x"] {
        let (code, out, err) =
            run(directory, &["token", "--sub", "a", "--allow", &format!("{pattern}=read")], &[])
                .await;
        assert!(
            code == Some(2) && out.is_empty() && err.contains(pattern) && err.contains("`lobby`"),
            "{pattern}: {out}{err}"
        );
        assert!(err.contains("greenroom.toml"), "it names the configuration: {err}");
    }
    for pattern in ["lobby:*", "lobby:x", "lob*", "*"] {
        mint(directory, &["--sub", "a", "--allow", &format!("{pattern}=read")]).await;
    }
    // Without a configuration, any kind may exist on another server.
    let nowhere = tempfile::tempdir().expect("a temporary directory can be created");
    mint(
        nowhere.path(),
        &[
            "--sub",
            "a",
            "--secret",
            "a-secret-of-these-tests-and-of-nothing-else",
            "--allow",
            "thing:*=read",
        ],
    )
    .await;
}

/// A token of almost the maximum length, with the maximum number of patterns, is accepted.
async fn the_largest_token_is_accepted(codec: CodecKind) {
    let server = Server::builder().with(SECRET).start().await;
    let grants: Vec<String> =
        (0..256).map(|i| format!("room:{i:03}{}=read", "x".repeat(72))).collect();
    let token = server.token("alice", &grants.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert!((31_000..=32_768).contains(&token.len()), "{}", token.len());
    let (mut alice, hello) = server.join(codec, json!({"token": token})).await;
    assert_eq!(hello["user"], "alice");
    alice.ok("read", json!({"entity": format!("room:255{}", "x".repeat(72))})).await;
    let mut other = server.open(codec).await;
    let error = other.fails("connect", json!({"token": "x".repeat(32_769)}), "unauthorized").await;
    assert!(error["message"].as_str().is_some_and(|message| message.contains("32768")), "{error}");
}

/// While the store is not open, here because its server does not run, the process is alive but not
/// ready.
#[tokio::test]
async fn a_starting_process_is_alive_but_not_ready() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let stopped = Server::builder()
        .stored_in(format!("ws://{}", nobody.local_addr().expect("it is bound")))
        .prepare();
    let mut child = command(stopped.directory.path())
        .arg("serve")
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("it runs");
    let mut log = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    let address = within("the operators' address in the log", async {
        loop {
            let line = log.next_line().await.expect("the log is text").expect("the log goes on");
            if line.contains("/live") {
                let (_, rest) = line.split_once("address=").expect("the line has the address");
                break rest
                    .split_whitespace()
                    .next()
                    .expect("the address is followed by a space or nothing")
                    .parse()
                    .expect("it is an address");
            }
        }
    })
    .await;
    assert_eq!(http_get(address, "/live").await.0, 200);
    let (status, body) = http_get(address, "/ready").await;
    assert!(status == 503 && body.contains("starting"), "{body}");
    assert!(http_get(address, "/metrics").await.1.contains("greenroom_ready 0"));
    assert_eq!(
        child.try_wait().expect("it can be asked"),
        None,
        "it is still waiting for the store"
    );
}

mod codecs {
    crate::over_both_codecs!(the_largest_token_is_accepted);
}
