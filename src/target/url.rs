//! A target that runs already.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

use super::TargetError;
use crate::target_spec::{ConnectTo, TargetUrl};

/// How long connecting to one address may take: the default `connect_timeout` of a scenario.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// The first address of the URL's host, or of the one that `connect_to` puts in its place, that accepts a connection.
/// Whether it speaks TLS, and for whom, is for the exchanges to find out.
pub(super) async fn reach(
    name: &str,
    url: &TargetUrl,
    connect_to: &[ConnectTo],
) -> Result<SocketAddr, TargetError> {
    let unreachable = |failure: String| TargetError::Unreachable {
        name: name.to_owned(),
        url: url.to_string(),
        failure,
    };
    let (host, port) = ConnectTo::place(connect_to, url.host(), url.port());
    let addresses = tokio::net::lookup_host((host.as_str(), port))
        .await
        .map_err(|error| unreachable(format!("{host}: {error}")))?;
    let mut failure = format!("{host} has no address");
    for address in addresses {
        match tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Ok(address),
            Ok(Err(error)) => failure = error.kind().to_string(),
            Err(_) => failure = format!("no answer within {} s", CONNECT_WITHIN.as_secs()),
        }
    }
    Err(unreachable(failure))
}
