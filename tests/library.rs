//! A server inside the process of its user: `App::build`, `start` and `until`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use greenroom::{App, Config};

/// Asks for the page, and returns the status line.
fn status(address: SocketAddr) -> String {
    let mut socket = TcpStream::connect(address).expect("the server listens");
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    socket.write_all(request.as_bytes()).expect("the server reads");
    let mut response = String::new();
    socket.read_to_string(&mut response).expect("the server answers");
    response.lines().next().unwrap_or_default().to_owned()
}

fn config() -> Config {
    let mut config = Config::default();
    config.store.url = "memory".to_owned();
    config.metrics.listen = None;
    config
}

#[test]
fn two_servers_in_one_process_start_serve_and_stop() {
    actix_rt::System::new().block_on(async {
        let mut servers = Vec::new();
        for _ in 0..2 {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            servers.push(App::build(config()).await.unwrap().start(listener).await.unwrap());
        }
        for server in servers {
            let address = server.address();
            let page = actix_rt::task::spawn_blocking(move || status(address));
            assert_eq!(page.await.unwrap(), "HTTP/1.1 200 OK");
            server.until(std::future::ready("the test is over")).await.unwrap();
            assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
        }
    });
}

#[test]
fn what_is_wrong_with_a_configuration_is_said_before_the_store_is_opened() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    actix_rt::System::new().block_on(async {
        let mut config = config();
        config.store.url = format!("surrealkv://{}", data.display());
        config.socket.allowed_origins = vec!["not an origin".to_owned()];
        let failure = App::build(config).await.err().unwrap();
        assert_eq!(failure.code(), 2, "{failure}");
    });
    assert!(!data.exists(), "no database was made");
}
