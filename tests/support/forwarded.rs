//! A container engine's socket as a port.

use std::net::{Shutdown, TcpListener};
use std::os::unix::net::UnixStream;

/// The daemon at a port, as another machine's is reached: what comes there is passed on to its socket.
pub(crate) fn at_a_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    let socket = host
        .strip_prefix("unix://")
        .unwrap_or("/var/run/docker.sock")
        .to_owned();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let daemon = UnixStream::connect(&socket).unwrap();
            let (mut asks, mut hears) = (client.try_clone().unwrap(), client);
            let (mut takes, mut tells) = (daemon.try_clone().unwrap(), daemon);
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut asks, &mut takes);
                let _ = takes.shutdown(Shutdown::Write);
            });
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut tells, &mut hears);
                let _ = hears.shutdown(Shutdown::Both);
            });
        }
    });
    format!("tcp://127.0.0.1:{port}")
}
