//! How targets are reached: TLS and other places to connect to.

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;

use super::failure::Failure;
use crate::data;
use crate::session::{Access, Pem, Tls, TlsOptions};
use crate::target_spec::{ConnectTo, TargetKind, TargetSpec};

/// Flags about reaching a target.
#[derive(Debug, ClapArgs)]
pub(super) struct AccessArgs {
    /// Accept any certificate (https)
    #[arg(short = 'k', long, help_heading = "Connecting")]
    insecure: bool,
    /// Trust the authorities in FILE (PEM) instead of this machine's
    #[arg(long, value_name = "FILE", help_heading = "Connecting")]
    cacert: Option<PathBuf>,
    /// Show the certificate in FILE (PEM) as a client's
    #[arg(
        long,
        value_name = "FILE",
        requires = "key",
        help_heading = "Connecting"
    )]
    cert: Option<PathBuf>,
    /// The private key of --cert (PEM)
    #[arg(
        long,
        value_name = "FILE",
        requires = "cert",
        help_heading = "Connecting"
    )]
    key: Option<PathBuf>,
    /// Connect to HOST2:PORT2 for what is called HOST:PORT, as curl does; may be given again
    #[arg(
        long,
        value_name = "HOST:PORT:HOST2:PORT2",
        help_heading = "Connecting"
    )]
    connect_to: Vec<ConnectTo>,
}

impl AccessArgs {
    /// What was typed, its files read. The machine's own authorities are looked for only where a target needs them.
    pub(super) fn read(&self, targets: &[&TargetSpec]) -> Result<Access, Failure> {
        let secure =
            |target: &&TargetSpec| matches!(&target.kind, TargetKind::Url(url) if url.is_secure());
        let asked = self.insecure || self.cacert.is_some() || self.cert.is_some();
        let needed = targets.iter().any(secure);
        let tls = if needed || asked {
            Some(self.tls(needed)?)
        } else {
            None
        };
        Ok(Access {
            tls,
            connect_to: self.connect_to.clone(),
        })
    }

    fn tls(&self, needed: bool) -> Result<Tls, Failure> {
        let identity = match (&self.cert, &self.key) {
            (Some(certificate), Some(key)) => Some((pem(certificate)?, pem(key)?)),
            _ => None,
        };
        Ok(Tls::new(&TlsOptions {
            // Where no target asks whom to trust, a machine that trusts nobody is no obstacle.
            insecure: self.insecure || !needed,
            authorities: self.cacert.as_deref().map(pem).transpose()?,
            identity,
        })?)
    }
}

fn pem(path: &Path) -> Result<Pem, Failure> {
    Ok(Pem {
        file: path.display().to_string(),
        text: data::pem(path)?,
    })
}
