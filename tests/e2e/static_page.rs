//! `serve --static DIR`: a page of one's own.

use std::path::Path;

use crate::raw::{Http, Raw};
use crate::server::{Server, Stopped, command, http_get, within};

fn with_page() -> Stopped {
    let stopped = Server::builder().prepare();
    let home = stopped.directory.path();
    std::fs::create_dir_all(home.join("page/deep")).expect("a directory can be made");
    for (name, text) in [
        ("page/index.html", "<!doctype html>mine"),
        ("page/app.js", "export {};"),
        ("page/deep/index.html", "deep"),
        ("page/.env", "secret"),
        ("page/large.bin", &"x".repeat(300_000)),
        ("secret.txt", "secret"),
    ] {
        std::fs::write(home.join(name), text).expect("a file can be written");
    }
    std::os::unix::fs::symlink("../secret.txt", home.join("page/link.txt"))
        .expect("a link can be made");
    stopped
}

/// The whole answer to one request.
async fn ask(server: &Server, method: &str, path: &str) -> Http {
    let mut raw = Raw::connect(server.address).await;
    let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    raw.write(request.as_bytes()).await;
    raw.http().await
}

#[tokio::test]
async fn a_page_of_ones_own_takes_the_place_of_the_demo() {
    let mut server = with_page().start_with(&["--static", "page"]).await;
    for (path, says) in [
        ("/", "mine"),
        ("/app.js", "export"),
        ("/deep/", "deep"),
        // What Greenroom serves itself is still there.
        ("/client/greenroom.js", "connect"),
        ("/demo/index.html", "<!doctype html"),
        ("/favicon.ico", "<svg"),
    ] {
        let (status, body) = http_get(server.address, path).await;
        assert_eq!(status, 200, "{path}");
        assert!(body.contains(says), "{path}: {body:.100}");
    }
    assert_eq!(http_get(server.address, "/large.bin").await.1.len(), 300_000);

    let page = ask(&server, "GET", "/app.js").await;
    let head = page.head.to_ascii_lowercase();
    for header in [
        "content-type: text/javascript; charset=utf-8",
        "cache-control: no-cache",
        "content-length: 10",
    ] {
        assert!(head.contains(header), "{header}: {head}");
    }
    assert!(
        !head.contains("content-security-policy"),
        "a page of one's own has a policy of its own"
    );
    let headed = ask(&server, "HEAD", "/app.js").await;
    assert_eq!((headed.status, headed.body.as_str()), (200, ""));
    server.assert_serves().await;
}

#[tokio::test]
async fn a_change_is_there_at_the_next_request() {
    let server = with_page().start_with(&["--static", "page"]).await;
    std::fs::write(server.path().join("page/app.js"), "changed").expect("a file can be written");
    assert_eq!(http_get(server.address, "/app.js").await, (200, "changed".into()));
}

#[tokio::test]
async fn a_directory_is_not_listed() {
    let server = with_page().start_with(&["--static", "page"]).await;
    std::fs::remove_file(server.path().join("page/deep/index.html")).expect("it is there");
    std::fs::remove_file(server.path().join("page/index.html")).expect("it is there");
    for path in ["/", "/deep/"] {
        assert_eq!(http_get(server.address, path).await, (404, "not found\n".into()), "{path}");
    }
    let moved = ask(&server, "GET", "/deep?a=b").await;
    assert_eq!(moved.status, 308);
    assert!(moved.head.to_ascii_lowercase().contains("location: /deep/?a=b\r\n"), "{}", moved.head);
}

#[tokio::test]
async fn nothing_outside_the_directory_is_served() {
    let server = with_page().start_with(&["--static", "page"]).await;
    for path in [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/deep/../../secret.txt",
        "/%2e%2e%5csecret.txt",
        "/link.txt",
        "/.env",
        "//secret.txt",
        "/app.js%00",
        "/app.js/",
        "/gone.html",
    ] {
        let answer = ask(&server, "GET", path).await;
        assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.head);
        assert!(!answer.body.contains("secret"), "{path}: {}", answer.body);
    }
    let posted = ask(&server, "POST", "/app.js").await;
    assert_eq!(posted.status, 404);
}

#[tokio::test]
async fn without_the_directory_the_server_does_not_start() {
    let stopped = with_page();
    for (given, says) in
        [("gone", "name a directory that exists"), ("secret.txt", "is not a directory")]
    {
        let output = command(stopped.directory.path()).args(["serve", "--static", given]).output();
        let output = within("the process ends", output).await.expect("the binary runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(says) && error.contains(given), "{error}");
        assert!(!Path::new(&stopped.directory.path().join("data")).exists(), "no store is made");
    }
}

#[tokio::test]
async fn the_help_says_what_it_is_for() {
    let stopped = Server::builder().prepare();
    let output = command(stopped.directory.path()).args(["serve", "--help"]).output();
    let help = within("the help", output).await.expect("the binary runs").stdout;
    let help = String::from_utf8_lossy(&help);
    assert!(help.contains("--static <DIR>") && help.contains("for development"), "{help}");
}
