//! Which processes listen on a port of this machine.

use std::collections::BTreeSet;
use std::net::IpAddr;

use procfs::net::{TcpNetEntry, TcpState};
use procfs::process::{FDTarget, Process};

use super::ProbeError;

/// The processes that listen on `port` of a loopback address or of every address. Several do where they share the socket, or
/// each have one of their own on the same port.
///
/// # Errors
/// Fails where nobody listens, or where the owner belongs to somebody whose processes we may not look into.
pub(super) fn listeners(port: u16) -> Result<BTreeSet<i32>, ProbeError> {
    // A kernel without IPv6 has no second table.
    let sockets: Vec<TcpNetEntry> = [procfs::net::tcp(), procfs::net::tcp6()]
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.state == TcpState::Listen && reachable_here(entry, port))
        .collect();
    let Some(first) = sockets.first() else {
        return Err(ProbeError::NobodyListens { port });
    };
    let inodes: BTreeSet<u64> = sockets.iter().map(|entry| entry.inode).collect();
    let processes = procfs::process::all_processes().map_err(|source| ProbeError::Unreadable {
        what: "/proc".to_owned(),
        source,
    })?;
    let owners: BTreeSet<i32> = processes
        .flatten()
        .filter(|process| holds(process, &inodes))
        .map(|process| process.pid())
        .collect();
    if owners.is_empty() {
        return Err(ProbeError::OwnerHidden {
            port,
            uid: first.uid,
        });
    }
    Ok(owners)
}

fn reachable_here(entry: &TcpNetEntry, port: u16) -> bool {
    let address = match entry.local_address.ip() {
        IpAddr::V6(v6) => v6.to_canonical(),
        v4 @ IpAddr::V4(_) => v4,
    };
    entry.local_address.port() == port && (address.is_loopback() || address.is_unspecified())
}

fn holds(process: &Process, inodes: &BTreeSet<u64>) -> bool {
    process.fd().is_ok_and(|fds| {
        fds.flatten()
            .any(|fd| matches!(fd.target, FDTarget::Socket(inode) if inodes.contains(&inode)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn our_own_listener_is_found_by_every_loopback_spelling() {
        for address in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"] {
            let Ok(listener) = TcpListener::bind(address) else {
                assert!(
                    address.starts_with('['),
                    "a machine may lack IPv6, not IPv4"
                );
                continue;
            };
            let port = listener.local_addr().unwrap().port();
            let us = std::process::id() as i32;
            // A process started by another test at this very moment may hold a copy until it execs.
            assert!(listeners(port).unwrap().contains(&us), "{address}");
            drop(listener);
        }
    }

    #[test]
    fn a_port_without_listener_is_an_error() {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let error = listeners(port).unwrap_err();
        assert!(
            matches!(error, ProbeError::NobodyListens { port: named } if named == port),
            "{error}"
        );
    }
}
