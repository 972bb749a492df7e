//! A target that runs already.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

use super::TargetError;
use crate::target_spec::TargetUrl;

/// How long connecting to one address may take: the default `connect_timeout` of a scenario.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// The first address of the URL's host that accepts a connection.
pub(super) async fn reach(name: &str, url: &TargetUrl) -> Result<SocketAddr, TargetError> {
    let unreachable = |failure: String| TargetError::Unreachable {
        name: name.to_owned(),
        url: url.to_string(),
        failure,
    };
    let addresses = tokio::net::lookup_host(url.authority())
        .await
        .map_err(|error| unreachable(format!("{}: {error}", url.host())))?;
    let mut failure = format!("{} has no address", url.host());
    for address in addresses {
        match tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Ok(address),
            Ok(Err(error)) => failure = error.kind().to_string(),
            Err(_) => failure = format!("no answer within {} s", CONNECT_WITHIN.as_secs()),
        }
    }
    Err(unreachable(failure))
}
