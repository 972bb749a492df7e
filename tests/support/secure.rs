//! A server that speaks TLS, and certificates for it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};

/// Who certifies others.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, both as PEM.
pub(crate) struct Certified {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages.push(KeyUsagePurpose::KeyCertSign);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Authority {
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// For `names`, valid until the year `until`.
    pub(crate) fn certify(&self, names: &[&str], until: i32) -> Certified {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        Certified {
            certificate: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

/// Shows `certified`; where `clients` is given, asks for a certificate of that authority. Speaks `protocols` (ALPN), or
/// whatever a client wants where there are none.
pub(crate) fn config(
    certified: &Certified,
    clients: Option<&Authority>,
    protocols: &[&str],
) -> ServerConfig {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            let root = CertificateDer::from_pem_slice(authority.pem.as_bytes());
            roots.add(root.unwrap()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let chain = CertificateDer::from_pem_slice(certified.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(certified.key.as_bytes()).unwrap();
    let mut config = builder.with_single_cert(vec![chain], key).unwrap();
    config.alpn_protocols = protocols
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    config
}

/// A running server that answers every request with 200; it stops taking connections when it is dropped.
pub(crate) struct Secure {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    handshakes: AtomicU64,
    /// The server names that clients asked for, and the bodies that they sent.
    names: Mutex<Vec<String>>,
    bodies: Mutex<Vec<Vec<u8>>>,
    stopped: AtomicBool,
}

impl Secure {
    /// Shows `certified`; where `clients` is given, asks for a certificate of that authority.
    pub(crate) fn start(certified: &Certified, clients: Option<&Authority>) -> Secure {
        Secure::with(config(certified, clients, &[]))
    }

    /// As `config` says.
    pub(crate) fn with(config: ServerConfig) -> Secure {
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (serving, config) = (Arc::clone(&serving), Arc::clone(&config));
                std::thread::spawn(move || serving.serve(stream.unwrap(), config));
            }
        });
        Secure { address, shared }
    }

    pub(crate) fn handshakes(&self) -> u64 {
        self.shared.handshakes.load(Ordering::Relaxed)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = self.shared.names.lock().unwrap().clone();
        names.dedup();
        names
    }

    pub(crate) fn bodies(&self) -> Vec<Vec<u8>> {
        self.shared.bodies.lock().unwrap().clone()
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts, so that it sees the end.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn serve(&self, mut socket: TcpStream, config: Arc<ServerConfig>) {
        let mut session = ServerConnection::new(config).unwrap();
        while session.is_handshaking() {
            if session.complete_io(&mut socket).is_err() {
                // The client is told why, and has read it before the connection is gone.
                while session.wants_write() && session.write_tls(&mut socket).is_ok() {}
                let mut rest = [0; 4096];
                while socket.read(&mut rest).is_ok_and(|read| read > 0) {}
                return;
            }
        }
        self.handshakes.fetch_add(1, Ordering::Relaxed);
        let name = session.server_name().unwrap_or("none").to_owned();
        self.names.lock().unwrap().push(name);
        let mut stream = rustls::StreamOwned::new(session, socket);
        // A client that is gone ends the connection.
        while let Some(body) = read_request(&mut stream) {
            self.bodies.lock().unwrap().push(body);
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            if stream
                .write_all(answer)
                .and_then(|()| stream.flush())
                .is_err()
            {
                return;
            }
        }
    }
}

/// The body of a request.
fn read_request(stream: &mut impl Read) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).ok()?;
    Some(body)
}
