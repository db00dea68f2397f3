//! The subcommands other than `serve`.

use greenroom_protocol::CodecKind;
use serde_json::json;

use crate::server::{Server, command, within};
use crate::token::{SECRET, mint};

async fn run(
    stopped: &crate::server::Stopped,
    arguments: &[&str],
) -> (Option<i32>, String, String) {
    let output = within(
        "the end of the process",
        command(stopped.directory.path()).args(arguments).output(),
    )
    .await
    .expect("the binary runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn check_reports_what_it_found() {
    let good = Server::builder().with(SECRET).prepare();
    let (code, out, err) = run(&good, &["check"]).await;
    assert_eq!(code, Some(0), "{out}{err}");
    for part in ["configuration", "kinds", "doc, room", "access", "1 key", "store", "memory"] {
        assert!(out.contains(part), "no `{part}` in: {out}");
    }
    assert!(!out.contains("a-secret-of-these-tests"), "no line shows a secret");
    let bad = Server::builder().with("socket.max_in_flight = 0").prepare();
    let (code, _, err) = run(&bad, &["check"]).await;
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("socket.max_in_flight"), "{err}");
    let (code, out, err) = run(&good, &["check", "--store", "surrealkv:///proc/nowhere"]).await;
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(out.contains("FAIL") && err.contains("/proc/nowhere"), "{out}{err}");
}

#[tokio::test]
async fn help_lists_commands_and_options() {
    let stopped = Server::builder().prepare();
    let (code, out, _) = run(&stopped, &["--help"]).await;
    assert_eq!(code, Some(0));
    for word in ["serve", "token", "check", "GREENROOM_", "Examples"] {
        assert!(out.contains(word), "no `{word}` in: {out}");
    }
    for command in ["serve", "token", "check"] {
        let (code, out, _) = run(&stopped, &[command, "--help"]).await;
        assert!(code == Some(0) && out.contains("--config"), "{out}");
    }
    let (code, out, _) = run(&stopped, &["--version"]).await;
    assert!(code == Some(0) && out.starts_with("greenroom "), "{out}");
    for wrong in [&["explode"][..], &["serve", "--explode"], &[], &["token"]] {
        assert_eq!(run(&stopped, wrong).await.0, Some(2), "{wrong:?}");
    }
}

#[tokio::test]
async fn token_refuses_arguments_that_cannot_work() {
    let stopped = Server::builder().with(SECRET).prepare();
    for (arguments, says) in [
        (&["token", "--sub", ""][..], "empty"),
        (&["token", "--sub", "anon-x"], "anon-"),
        (&["token", "--sub", "a", "--allow", "room:*=fly"], "fly"),
        (&["token", "--sub", "a", "--allow", "room"], "PATTERN"),
        (&["token", "--sub", "a", "--ttl", "soon"], "duration"),
        (&["token", "--sub", "a", "--secret", "short"], "32"),
    ] {
        let (code, out, err) = run(&stopped, arguments).await;
        assert_eq!((code, out.as_str()), (Some(2), ""), "{arguments:?}: {err}");
        assert!(err.contains(says), "{arguments:?}: no `{says}` in: {err}");
    }
    let (code, _, err) = run(&Server::builder().prepare(), &["token", "--sub", "a"]).await;
    assert!(code == Some(2) && err.contains("auth.secret_file"), "{err}");
}

/// A public key is enough to check tokens signed with its private key.
#[tokio::test]
async fn keys_of_every_algorithm_work() {
    let generated = Server::builder().prepare();
    let directory = generated.directory.path();
    let openssl = async |arguments: &str| {
        let done = tokio::process::Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(directory)
            .output()
            .await;
        done.is_ok_and(|output| output.status.success())
    };
    for (algorithm, make) in [
        ("ES256", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out private.pem"),
        ("EdDSA", "genpkey -algorithm ED25519 -out private.pem"),
        ("RS256", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out private.pem"),
    ] {
        if !openssl(make).await || !openssl("pkey -in private.pem -pubout -out public.pem").await {
            eprintln!("SKIPPED: `openssl` cannot make a key for {algorithm}");
            continue;
        }
        let public = directory.join("public.pem");
        let server = Server::builder()
            .with(format!(
                "auth.algorithm = \"{algorithm}\"\nauth.public_key_file = \"{}\"",
                public.display()
            ))
            .start()
            .await;
        let private = directory.join("private.pem").display().to_string();
        let token = mint(server.path(), &["--sub", "alice", "--private-key", &private]).await;
        let (_, hello) = server.join(CodecKind::Json, json!({"token": token})).await;
        assert_eq!(hello["user"], "alice");
    }
}
