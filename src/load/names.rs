//! The addresses of a target: resolved away from the workers, anew once its time to live is over, and handed to them
//! as they change.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Addresses, at least one, none twice.
pub(super) type Addresses = Arc<[SocketAddr]>;

/// The addresses of one name, kept current for as long as this lives.
#[derive(Debug)]
pub(super) struct Names {
    current: watch::Receiver<Addresses>,
    refreshing: Option<JoinHandle<()>>,
}

impl Names {
    /// The addresses of `host`, looked up again every `ttl` unless it is an address itself.
    ///
    /// # Errors
    /// When the name cannot be resolved, or has no address.
    pub(super) async fn resolve(host: &str, port: u16, ttl: Duration) -> io::Result<Self> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            let (_, current) = watch::channel(Arc::from([SocketAddr::new(ip, port)]));
            return Ok(Self {
                current,
                refreshing: None,
            });
        }
        let host = host.to_owned();
        Self::kept_current(ttl, move || look_up(host.clone(), port)).await
    }

    async fn kept_current<L, F>(ttl: Duration, mut look_up: L) -> io::Result<Self>
    where
        L: FnMut() -> F + Send + 'static,
        F: Future<Output = io::Result<Vec<SocketAddr>>> + Send,
    {
        let first = distinct(look_up().await?);
        if first.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the name has no address",
            ));
        }
        let (sender, current) = watch::channel(first);
        let refreshing = tokio::spawn(async move {
            while !sender.is_closed() {
                tokio::time::sleep(ttl).await;
                // What was good a while ago is better than nothing.
                if let Ok(found) = look_up().await {
                    let found = distinct(found);
                    sender.send_if_modified(|current| {
                        let better = !found.is_empty() && *current != found;
                        if better {
                            *current = found;
                        }
                        better
                    });
                }
            }
        });
        Ok(Self {
            current,
            refreshing: Some(refreshing),
        })
    }

    /// Where the addresses are to be seen.
    pub(super) fn current(&self) -> watch::Receiver<Addresses> {
        self.current.clone()
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        if let Some(refreshing) = &self.refreshing {
            refreshing.abort();
        }
    }
}

/// The order in which the connection whose turn it is tries `addresses`: they take turns to be the first.
pub(super) fn in_turn(addresses: &[SocketAddr], turn: usize) -> impl Iterator<Item = SocketAddr> {
    let first = turn % addresses.len().max(1);
    let (before, from) = addresses.split_at(first);
    from.iter().chain(before).copied()
}

async fn look_up(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    // A thread of the runtime's pool asks the system, as every client on this machine would.
    Ok(tokio::net::lookup_host((host, port)).await?.collect())
}

fn distinct(found: Vec<SocketAddr>) -> Addresses {
    let mut distinct = Vec::with_capacity(found.len());
    for address in found {
        if !distinct.contains(&address) {
            distinct.push(address);
        }
    }
    distinct.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, last], 80))
    }

    #[test]
    fn addresses_take_turns_to_be_the_first() {
        let addresses = [address(1), address(2), address(3)];
        let firsts: Vec<_> = (0..4)
            .map(|turn| in_turn(&addresses, turn).collect::<Vec<_>>())
            .collect();
        assert_eq!(firsts[0], addresses);
        assert_eq!(firsts[1], [address(2), address(3), address(1)]);
        assert_eq!(firsts[2], [address(3), address(1), address(2)]);
        assert_eq!(firsts[3], addresses);
    }

    #[tokio::test]
    async fn a_name_is_looked_up_again_and_keeps_its_addresses_when_that_fails() {
        let mut script = vec![
            Ok(vec![address(1), address(2), address(1)]),
            Err(io::ErrorKind::TimedOut.into()),
            Ok(Vec::new()),
            Ok(vec![address(3)]),
        ]
        .into_iter();
        let names = Names::kept_current(Duration::from_millis(1), move || {
            let answer = script.next().unwrap_or_else(|| Ok(vec![address(3)]));
            std::future::ready(answer)
        })
        .await
        .unwrap();
        let mut current = names.current();
        assert_eq!(**current.borrow_and_update(), [address(1), address(2)]);
        // The failure and the empty answer in between change nothing, so this is the next change that is seen.
        current.changed().await.unwrap();
        assert_eq!(**current.borrow_and_update(), [address(3)]);
        drop(names);
        assert!(current.changed().await.is_err());
    }

    #[tokio::test]
    async fn a_name_without_addresses_is_an_error_and_an_address_is_its_own() {
        let empty = Names::kept_current(Duration::from_secs(1), || std::future::ready(Ok(vec![])));
        assert!(empty.await.is_err());
        let names = Names::resolve("::1", 8080, Duration::from_secs(1)).await;
        let current = names.unwrap().current();
        assert_eq!(**current.borrow(), ["[::1]:8080".parse().unwrap()]);
    }
}
