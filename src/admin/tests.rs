use std::net::Ipv4Addr;

use super::*;

/// Sends a request to the listener from another thread.
async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let url = format!("http://{address}{path}");
    let asked = tokio::task::spawn_blocking(move || {
        let agent =
            ureq::Agent::from(ureq::Agent::config_builder().http_status_as_error(false).build());
        let mut response = agent.get(&url).call().unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    });
    asked.await.unwrap()
}

#[actix_web::test]
async fn operators_see_liveness_readiness_and_metrics() {
    let exporter = Exporter::install().unwrap();
    assert!(Exporter::install().is_ok(), "a later call shares the recorder");
    let (readiness, receiver) =
        ReadinessHandle::new(Readiness::not_ready("the store does not answer"));
    let admin =
        serve((Ipv4Addr::LOCALHOST, 0).into(), exporter, receiver, Operated::default()).unwrap();
    let address = admin.address;
    assert_ne!(address.port(), 0);
    let running = actix_rt::spawn(admin.server);

    assert_eq!(get(address, "/live").await, (200, r#"{"status":"live"}"#.into()));
    let (status, body) = get(address, "/ready").await;
    assert_eq!(status, 503);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&body).unwrap()["reason"],
        "the store does not answer"
    );
    assert!(get(address, "/metrics").await.1.contains("greenroom_ready 0\n"));

    readiness.set(Readiness::Ready);
    assert_eq!(get(address, "/ready").await, (200, r#"{"status":"ready"}"#.into()));
    let (status, text) = get(address, "/metrics").await;
    assert_eq!(status, 200);
    assert!(text.contains("greenroom_ready 1\n") && text.contains("process_open_fds "), "{text}");

    readiness.set(Readiness::not_ready("shutting down"));
    assert_eq!(get(address, "/ready").await.0, 503);
    assert_eq!(get(address, "/").await.0, 404);

    let asked = |host: &'static str| {
        let raw = format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        tokio::task::spawn_blocking(move || {
            use std::io::{Read, Write};
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            stream.write_all(raw.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        })
    };
    for (host, status) in [
        ("evil.test:9464", 403),
        ("localhost.evil.test", 403),
        ("0.0.0.0:9464", 403),
        ("LOCALHOST:9464", 200),
        ("[::1]", 200),
    ] {
        let answer = asked(host).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{host}: {answer:.200}");
        assert_eq!(answer.contains("greenroom_ready"), status == 200, "{host}");
    }

    admin.handle.stop(true).await;
    running.await.unwrap().unwrap();
}

#[actix_web::test]
async fn an_address_in_use_is_an_error() {
    let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let (_, receiver) = watch::channel(Readiness::Ready);
    let exporter = Exporter::for_tests(recorder.handle());
    let error =
        serve(taken.local_addr().unwrap(), exporter, receiver, Operated::default()).err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
}
