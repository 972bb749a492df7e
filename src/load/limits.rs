//! What the system allows, held against what a run needs before it is measured: descriptors and local ports.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use rustix::process::{Resource, getrlimit};

use crate::units::thousands;

/// Descriptors beside the connections: standard streams, files, the probe, the stores' own connections, the runtime of
/// the session. A run has some forty of them; the rest is room.
const RESERVE: u64 = 96;

/// Descriptors of a worker beside its connections: its event queue, the two that wake it, its timer.
const PER_WORKER: u64 = 4;

/// The share of a source address's ports that connections may take: others on this machine need some too, and ports of
/// connections that have just been closed cannot be taken again for a minute.
const SHARE_OF_PORTS: f64 = 0.8;

/// The range of local ports that Linux has unless told otherwise.
const USUAL_PORTS: (u16, u16) = (32_768, 60_999);

/// A limit of the system's that the connections exceed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// Too few descriptors.
    #[error(
        "{} connections need {} descriptors; the hard limit is {}",
        thousands(*connections), thousands(*needed), thousands(*limit)
    )]
    Descriptors {
        /// The most connections at once.
        connections: u64,
        /// What they and tailmark itself need.
        needed: u64,
        /// The hard limit of this process.
        limit: u64,
    },
    /// Too few local ports.
    #[error(
        "{} connections to {to} need as many local ports; net.ipv4.ip_local_port_range allows {}",
        thousands(*connections), thousands(*allowed)
    )]
    Ports {
        /// The most connections at once.
        connections: u64,
        /// The target's addresses.
        to: String,
        /// Connections that the ports suffice for.
        allowed: u64,
    },
}

impl LimitError {
    /// The next step.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Descriptors { needed, .. } => {
                format!("ulimit -Hn {needed}, or LimitNOFILE= in systemd")
            }
            Self::Ports { .. } => {
                "sysctl -w net.ipv4.ip_local_port_range='1024 65535', or fewer connections".into()
            }
        })
    }
}

/// Whether this process may open `connections` by `workers`.
pub(super) fn check_descriptors(connections: usize, workers: usize) -> Result<(), LimitError> {
    descriptors(
        connections as u64,
        workers as u64,
        getrlimit(Resource::Nofile).maximum,
    )
}

/// The most connections of one worker for which `limit` descriptors leave room.
pub(crate) fn most_connections(limit: u64) -> u64 {
    limit.saturating_sub(RESERVE + PER_WORKER)
}

/// How many source addresses `connections` to `addresses` need; above one only for targets on loopback.
pub(super) fn sources(connections: usize, addresses: &[SocketAddr]) -> Result<usize, LimitError> {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    let range = range.ok().and_then(|text| port_range(&text));
    sources_within(connections as u64, addresses, range.unwrap_or(USUAL_PORTS))
}

/// The source address of the connection whose turn it is, where there are `count` of them. All of 127.0.0.0/8 is this
/// machine.
pub(super) fn source(turn: usize, count: usize) -> Ipv4Addr {
    let place = turn % count.max(1);
    Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + place as u32)
}

/// `limit` is the hard one, none where there is none: the soft one may be raised to it.
fn descriptors(connections: u64, workers: u64, limit: Option<u64>) -> Result<(), LimitError> {
    let needed = connections + RESERVE + PER_WORKER * workers;
    match limit {
        Some(limit) if limit < needed => Err(LimitError::Descriptors {
            connections,
            needed,
            limit,
        }),
        _ => Ok(()),
    }
}

fn sources_within(
    connections: u64,
    addresses: &[SocketAddr],
    (first, last): (u16, u16),
) -> Result<usize, LimitError> {
    let ports = u64::from(last.saturating_sub(first)) + 1;
    // Addresses take turns, and a port serves for one connection to each of them.
    let targets = addresses.len().max(1) as u64;
    let each = connections.div_ceil(targets);
    if addresses.iter().any(|address| is_loopback_4(address.ip())) {
        let usable = ((ports as f64 * SHARE_OF_PORTS) as u64).max(1);
        return Ok(usize::try_from(each.div_ceil(usable)).unwrap_or(usize::MAX));
    }
    if each > ports {
        let names: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        return Err(LimitError::Ports {
            connections,
            to: names.join(", "),
            allowed: ports * targets,
        });
    }
    Ok(1)
}

pub(super) fn is_loopback_4(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(ip) if ip.is_loopback())
}

fn port_range(text: &str) -> Option<(u16, u16)> {
    let mut ports = text.split_whitespace().map(str::parse);
    Some((ports.next()?.ok()?, ports.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_held_against_the_hard_limit() {
        assert_eq!(descriptors(256, 1, Some(1_024)), Ok(()));
        assert_eq!(descriptors(100_000, 8, None), Ok(()));
        assert_eq!(descriptors(900, 1, Some(1_000)), Ok(()));
        let refused = descriptors(50_000, 1, Some(20_000)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "50,000 connections need 50,100 descriptors; the hard limit is 20,000"
        );
        assert_eq!(
            refused.hint().unwrap(),
            "ulimit -Hn 50100, or LimitNOFILE= in systemd"
        );
        assert!(descriptors(900, 2, Some(1_000)).is_err());
        assert_eq!(most_connections(1_000), 900);
        assert_eq!(most_connections(50), 0);
    }

    #[test]
    fn loopback_gets_as_many_sources_as_its_ports_need() {
        let local = ["127.0.0.1:80".parse().unwrap()];
        let range = (32_768, 60_999);
        assert_eq!(sources_within(22_000, &local, range), Ok(1));
        assert_eq!(sources_within(23_000, &local, range), Ok(2));
        assert_eq!(sources_within(100_000, &local, range), Ok(5));
        assert_eq!(sources_within(100, &local, (40_000, 40_009)), Ok(13));
        assert_eq!(source(0, 1), Ipv4Addr::LOCALHOST);
        let taken: Vec<_> = (0..4).map(|turn| source(turn, 3)).collect();
        assert_eq!(taken[1], Ipv4Addr::new(127, 0, 0, 2));
        assert_eq!(taken[2], Ipv4Addr::new(127, 0, 0, 3));
        assert_eq!(taken[3], Ipv4Addr::LOCALHOST);
    }

    #[test]
    fn elsewhere_the_ports_bound_the_connections_to_each_address() {
        let one = ["192.0.2.1:80".parse().unwrap()];
        let two = [one[0], "192.0.2.2:80".parse().unwrap()];
        let range = port_range("32768\t60999\n").unwrap();
        assert_eq!(sources_within(28_232, &one, range), Ok(1));
        assert_eq!(sources_within(50_000, &two, range), Ok(1));
        let refused = sources_within(50_000, &one, range).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "50,000 connections to 192.0.2.1:80 need as many local ports; \
             net.ipv4.ip_local_port_range allows 28,232"
        );
        assert!(sources_within(50_000, &["[::1]:80".parse().unwrap()], range).is_err());
        assert_eq!(port_range("many"), None);
    }
}
