//! A server that does what a script says, and writes down what it did: what tailmark and its peers are held against.
//!
//! HTTP/1.1 on a loopback address, one thread, in code of its own: answers are held back by a timer of the kernel's to
//! tens of microseconds, an answer that is due at once costs a read and a write, and tens of thousands of connections cost
//! a few hundred bytes each. A request's body is read by its content-length and thrown away. Needs Linux.

mod answers;
mod connection;
mod poller;
mod request;
mod server;
mod slots;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::time::Duration;

use crate::script::Script;
use crate::verification::log::Log;
use server::Server;

/// Connections that may wait to be accepted: what the kernel allows by default (`net.core.somaxconn`). The standard
/// library's 128 would make a client that opens thousands at once wait a second for a new SYN.
const BACKLOG: i32 = 4096;

/// How a server works, whatever its script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// It ends by itself after this time.
    pub lasts: Duration,
    /// Requests that are logged, from the first.
    pub most_logged: usize,
    /// Whether it never sleeps: it sees arrivals at once instead of when the kernel has woken it, which takes tens of
    /// microseconds on a virtual machine, and keeps a CPU to itself.
    pub spin: bool,
}

/// A server that listens.
#[derive(Debug)]
pub struct Oracle {
    listener: TcpListener,
}

impl Oracle {
    /// Listens on a port of 127.0.0.1; on a free one where `port` is 0.
    ///
    /// # Errors
    /// When the port is taken, or forbidden.
    pub fn bind(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        // Listening again only changes the length of the queue.
        rustix::net::listen(&listener, BACKLOG)?;
        Ok(Self { listener })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves on the calling thread, until `stop` can be read or its other end is closed, or its time is over; returns
    /// what it saw.
    ///
    /// # Errors
    /// When the system refuses a connection, as when descriptors run out: the log would not be the truth any more.
    pub fn serve(&self, script: &Script, stop: impl AsFd, options: Options) -> io::Result<Log> {
        Server::new(script, &self.listener, stop.as_fd(), options)?.run()
    }
}

#[cfg(test)]
mod tests;
