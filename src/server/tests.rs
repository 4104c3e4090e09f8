//! A whole server in this process.

use super::*;
use crate::admin::{Connection, Done, Event, Request, Secret};
use std::path::Path;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// One listener of each kind on a free loopback port.
fn config(data: &Path) -> Config {
    let mut config = Config::default();
    config.server.hostname = "mx.example.org".to_owned();
    config.server.data = data.to_owned();
    config.store.partitions = 2;
    let any = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    for listen in [
        &mut config.mx.listen,
        &mut config.submission.listen_starttls,
        &mut config.submission.listen_tls,
        &mut config.imap.listen_starttls,
        &mut config.imap.listen_tls,
        &mut config.metrics.listen,
    ] {
        listen.clone_from(&any);
    }
    config.dns.servers = vec![SocketAddr::from(([127, 0, 0, 1], 9))];
    config
}

/// Sends everything and reads until the server closes.
async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

/// The same where the server speaks first.
async fn greeted(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut response = String::new();
    while !response.ends_with('\n') {
        response.push(char::from(stream.read_u8().await.unwrap()));
    }
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

#[tokio::test(flavor = "multi_thread")]
async fn every_service_answers_and_ends_with_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(config(folder.path())).await.unwrap();
    let Addresses { mx, submission_starttls, submission_tls, imap_starttls, imap_tls, metrics } =
        server.addresses().clone();
    let (mx, submission, imap, metrics) = (mx[0], submission_starttls[0], imap_starttls[0], metrics[0]);
    assert!([mx, submission, imap, metrics, submission_tls[0], imap_tls[0]].iter().all(|address| address.port() != 0));

    for smtp in [mx, submission] {
        let said = greeted(smtp, "QUIT\r\n").await;
        assert!(said.starts_with("220 mx.example.org ") && said.contains("\r\n221 "), "{said}");
    }
    assert!(greeted(imap, "a LOGOUT\r\n").await.contains("a OK"));
    assert!(exchange(metrics, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await.ends_with("\r\n\r\nok\n"));

    let mut idle = TcpStream::connect(imap).await.unwrap();
    // With the greeting it is a session; before, it may not have been accepted yet.
    assert_eq!(idle.read_u8().await.unwrap(), b'*');
    let told = tokio::spawn(async move {
        let mut told = String::new();
        idle.read_to_string(&mut told).await.unwrap();
        told
    });
    server.stop().await;
    assert!(told.await.unwrap().contains("* BYE "));
    for address in [mx, submission, submission_tls[0], imap, imap_tls[0], metrics] {
        assert!(TcpStream::connect(address).await.is_err(), "{address}");
    }
    Server::start(config(folder.path())).await.unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_connections_and_refuse_what_they_do_not_know() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(config(folder.path())).await.unwrap();
    let (mx, metrics) = (server.addresses().mx[0], server.addresses().metrics[0]);
    greeted(mx, "QUIT\r\n").await;

    let told = exchange(metrics, "GET /metrics?x HTTP/1.1\r\n\r\n").await;
    assert!(told.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n"), "{told}");
    for line in [
        "postern_connections_total{listener=\"mx.listen\"} 1",
        "postern_connections_open{listener=\"metrics.listen\"} 1",
        "postern_messages_total{outcome=\"junk\"} 0",
        "# TYPE postern_deliveries_total counter",
    ] {
        assert!(told.lines().any(|told| told == line), "{line} in {told}");
    }
    let head = exchange(metrics, "HEAD /health HTTP/1.1\r\n\r\n").await;
    assert!(head.contains("Content-Length: 3\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(exchange(metrics, "GET / HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 404 "));
    assert!(exchange(metrics, "POST /metrics HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 405 "));
    assert_eq!(exchange(metrics, &"x".repeat(limits::METRICS_REQUEST_OCTETS_MAX)).await, "");
    server.stop().await;
}

/// Does a task through the server, or on the store where none runs.
async fn administer(config: &Config, request: Request) -> Event {
    let connection = Connection::open(config).await.unwrap();
    let mut running = connection.start(request).await.unwrap();
    let mut last = None;
    while let Some(event) = running.next().await.unwrap() {
        last = Some(event);
    }
    connection.close().await;
    last.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_done_with_and_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let add_domain = |domain: &str| Request::DomainAdd { domain: domain.parse().unwrap() };
    let password = Secret("secret".to_owned());
    let add_account =
        |address: &str| Request::AccountAdd { address: address.parse().unwrap(), password: password.clone() };
    assert_eq!(administer(&config, add_domain("example.org")).await, Event::Done(Done::Completed));
    assert_eq!(administer(&config, add_account("ann@example.org")).await, Event::Done(Done::Completed));

    let server = Server::start(config.clone()).await.unwrap();
    assert_eq!(administer(&config, add_account("bob@example.org")).await, Event::Done(Done::Completed));
    for name in ["ann", "bob"] {
        let session = format!("a LOGIN {name}@example.org secret\r\nb STATUS Junk (MESSAGES)\r\nc LOGOUT\r\n");
        let said = greeted(server.addresses().imap_starttls[0], &session).await;
        assert!(said.contains("a OK") && said.contains("* STATUS Junk (MESSAGES 0)"), "{said}");
    }
    assert!(matches!(administer(&config, add_domain("example.org")).await, Event::Failed(_)));
    server.stop().await;
    assert!(!config.control_socket().exists());
    assert!(matches!(administer(&config, add_account("bob@example.org")).await, Event::Failed(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_leaves_the_data_folder_alone() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = config(&folder.path().join("data"));
    config.imap.listen_tls = vec![taken.local_addr().unwrap()];
    let error = Server::start(config).await.err().unwrap().to_string();
    assert!(error.contains("(imap.listen_tls)") && error.contains("another program listens there"), "{error}");
    assert!(!folder.path().join("data").exists());
}
