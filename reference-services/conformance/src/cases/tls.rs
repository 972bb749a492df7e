//! A service with a certificate.

use crate::World;
use crate::service::{Service, run};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// A certificate of `localhost` that signs itself, and its key.
pub(super) struct Files {
    _folder: TempDir,
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    pub(super) fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = TempDir::new().unwrap();
        let certificate = folder.path().join("certificate.pem");
        let key = folder.path().join("key.pem");
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        Self {
            _folder: folder,
            certificate,
            key,
        }
    }

    pub(super) fn environment(&self) -> [(&'static str, &str); 2] {
        [
            ("TLS_CERT", self.certificate.to_str().unwrap()),
            ("TLS_KEY", self.key.to_str().unwrap()),
        ]
    }

    pub(super) fn certificate_pem(&self) -> String {
        std::fs::read_to_string(&self.certificate).unwrap()
    }

    /// How a client trusts the certificate and nothing else.
    fn client(&self) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_file(&self.certificate).unwrap();
        roots.add(certificate).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        TlsConnector::from(Arc::new(config))
    }
}

pub(super) async fn serves_those_who_trust_its_certificate(world: &World) {
    let files = Files::new();
    let service = Service::start(&world.subject, &files.environment()).await;
    let ask = async |files: &Files| {
        let stream = TcpStream::connect(&service.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = files.client().connect(name, stream).await?;
        let request = "GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = ask(&files).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.ends_with(r#"{"status":"ready"}"#), "{answer}");
    let others = Files::new();
    ask(&others).await.unwrap_err();
    // In the clear nothing is said that a client of HTTP could take for an answer.
    let plain = "GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let mut stream = TcpStream::connect(&service.address).await.unwrap();
    stream.write_all(plain.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    // The connection is closed, or reset: both are an end.
    let end = timeout(Duration::from_secs(20), stream.read_to_end(&mut said));
    assert!(end.await.is_ok(), "the connection stays open");
    assert!(!said.starts_with(b"HTTP/"), "{said:?}");
    // Its own health check knows the certificate, and no other.
    let port = service.address.rsplit(':').next().unwrap();
    let check = async |files: &Files| {
        let environment = [&[("PORT", port)][..], &files.environment()].concat();
        run(&world.subject, &environment, "healthcheck", "").await.0
    };
    assert_eq!(check(&files).await, Some(0));
    assert_eq!(check(&others).await, Some(1));
}

pub(super) async fn files_that_are_no_certificates_are_refused(world: &World) {
    let (files, others) = (Files::new(), Files::new());
    let [certificate, key] = files.environment();
    let [_, other_key] = others.environment();
    let (certificate_as_key, key_as_certificate) =
        (("TLS_KEY", certificate.1), ("TLS_CERT", key.1));
    for (environment, said) in [
        (&[certificate][..], "TLS_CERT is set and TLS_KEY is not"),
        (&[key], "TLS_KEY is set and TLS_CERT is not"),
        (&[("TLS_CERT", "/nowhere"), key], "TLS_CERT is \"/nowhere\""),
        (
            &[certificate, ("TLS_KEY", "/nowhere")],
            "TLS_KEY is \"/nowhere\"",
        ),
        (&[key_as_certificate, key], "no certificate in it"),
        (&[certificate, certificate_as_key], "TLS_KEY is "),
        (&[certificate, other_key], "cannot be used together"),
    ] {
        let (code, error) = crate::service::refused(&world.subject, environment).await;
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains(said), "{error}");
    }
}
