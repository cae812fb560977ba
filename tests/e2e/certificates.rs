//! TLS turned on, renewed and turned off under viewers.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use sluice_harness::{Connection, Version, Viewer, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{SOON, Stage};

const INDEX: &str = "/live/news/index.m3u8";

/// Writes a new pair for localhost and returns its certificate.
fn renew(directory: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(directory.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(directory.join("cert.pem"), made.cert.pem()).unwrap();
    CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap()
}

/// Gets the index over TLS as one who trusts this certificate alone; the whole answer.
async fn get_over_tls(address: SocketAddr, trusted: &CertificateDer<'static>) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    let socket = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await?;
    stream
        .write_all(format!("GET {INDEX} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())
        .await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

async fn is_served_over_tls(address: SocketAddr, trusted: &CertificateDer<'static>) -> bool {
    get_over_tls(address, trusted).await.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

async fn is_served_plainly(address: SocketAddr) -> bool {
    let mut connection = Connection::open(address, Version::One).await;
    connection.get(INDEX).await.is_ok_and(|reply| reply.status.is_success())
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_comes_changes_its_certificate_and_goes_under_a_viewer_who_reads_on() {
    let stage = Stage::new("").await;
    let address = stage.sluice.viewers;
    let mut viewing = Viewer::new(address, INDEX).watch();
    viewing.takes(2, SOON).await;
    let server = stage.sluice.setup().directory().join("00-server.kdl");
    let plain = std::fs::read_to_string(server).unwrap();
    let secured = plain.replacen("server {", "server {\n    tls cert=\"cert.pem\" key=\"key.pem\"", 1);

    let first = renew(stage.sluice.setup().home());
    stage.sluice.apply("00-server.kdl", &secured).await;
    assert!(is_served_over_tls(address, &first).await, "{}", stage.sluice.log());
    assert!(!is_served_plainly(address).await, "new connections are met with TLS");
    viewing.takes(2, SOON).await;

    let second = renew(stage.sluice.setup().home());
    let renewed = async || is_served_over_tls(address, &second).await.then_some(());
    eventually("the renewed certificate", SOON, renewed).await;
    assert!(!is_served_over_tls(address, &first).await, "the old certificate is not shown any more");
    viewing.takes(2, SOON).await;

    std::fs::write(stage.sluice.setup().home().join("key.pem"), "nothing").unwrap();
    stage.sluice.apply("00-server.kdl", &secured.replace("cert.pem", "./cert.pem")).await;
    let config = stage.sluice.api("/api/v1/config").await.text();
    assert!(config.contains("key.pem"), "a pair that cannot be used is named: {config}");
    assert!(is_served_over_tls(address, &second).await, "and changes nothing");

    stage.sluice.apply("00-server.kdl", &plain).await;
    assert!(is_served_plainly(address).await);
    assert!(get_over_tls(address, &second).await.is_err());
    viewing.takes(2, SOON).await;
    viewing.stop().await.assert_whole();
}
