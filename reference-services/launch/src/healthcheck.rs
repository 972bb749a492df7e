//! Asks a running service whether it is ready, for containers that hold nothing but the service.

use crate::BoxError;
use crate::tls::Identity;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// How long each step of the question may take: above what a service waits for its stores before it answers 503.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The beginning of a ready answer.
const READY: &[u8] = b"HTTP/1.1 200 ";

/// Asks the service at `address`, over TLS if it has an `identity`.
///
/// # Errors
/// Where nobody is there, or nobody with that identity.
pub(crate) fn is_ready(address: SocketAddr, identity: Option<&Identity>) -> Result<bool, BoxError> {
    let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let Some(identity) = identity else {
        return Ok(ask(stream, address)?);
    };
    let name = ServerName::from(address.ip());
    let session = ClientConnection::new(Arc::new(identity.client()?), name)?;
    Ok(ask(StreamOwned::new(session, stream), address)?)
}

fn ask(mut stream: impl Read + Write, address: SocketAddr) -> io::Result<bool> {
    let request = format!(
        "GET {} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n",
        contract::path::READYZ
    );
    stream.write_all(request.as_bytes())?;
    let mut start = [0; READY.len()];
    stream.read_exact(&mut start)?;
    Ok(start == READY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    fn check(answer: &'static str, expected: bool) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // All of it: closing a socket with something unread resets the connection, and may lose the answer.
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.extend(byte);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            head
        });
        assert_eq!(is_ready(address, None).unwrap(), expected, "{answer}");
        assert!(server.join().unwrap().starts_with(b"GET /readyz HTTP/1."));
    }

    #[test]
    fn only_a_200_is_ready() {
        check("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", true);
        check(
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
            false,
        );
    }

    #[test]
    fn nobody_there_is_an_error() {
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        assert!(is_ready(address, None).is_err());
    }
}
