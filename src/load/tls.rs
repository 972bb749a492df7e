//! TLS: whom to trust, and who we are.
//!
//! The roots are those of the machine, not a list that is compiled in: what is measured is as often an internal service
//! under a company's own authority as a public one, and a machine that reaches it trusts it already. A machine without
//! roots, such as a bare container, is told to name them.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// What is asked of TLS.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// Whether any certificate will do.
    pub insecure: bool,
    /// Certificates of the authorities that are trusted in place of the machine's.
    pub authorities: Option<Pem>,
    /// Our own certificate, with those that lead to its authority, and its key.
    pub identity: Option<(Pem, Pem)>,
}

/// A file in the PEM format.
#[derive(Clone)]
pub struct Pem {
    /// What messages call it.
    pub file: String,
    /// Its text.
    pub text: Vec<u8>,
}

impl std::fmt::Debug for Pem {
    /// Without its text, which may be a key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Pem").field(&self.file).finish()
    }
}

/// How TLS is spoken to any target.
#[derive(Debug, Clone)]
pub struct Tls(Arc<ClientConfig>);

/// What TLS was asked to do and cannot.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file without a certificate.
    #[error("{0} holds no certificate in the PEM format")]
    NoCertificate(String),
    /// A file without a key.
    #[error("{0} holds no private key in the PEM format")]
    NoKey(String),
    /// A key under a password.
    #[error("the private key in {0} is encrypted")]
    Encrypted(String),
    /// A damaged file.
    #[error("{file} is damaged")]
    Damaged {
        /// The file.
        file: String,
        /// What is wrong with it.
        #[source]
        source: pem::Error,
    },
    /// A certificate that cannot be an authority's.
    #[error("a certificate in {file} cannot be an authority's")]
    Authority {
        /// The file.
        file: String,
        /// What is wrong with it.
        #[source]
        source: rustls::Error,
    },
    /// A certificate and a key that do not belong together, or of a kind that is not supported.
    #[error("the certificate in {certificate} and the key in {key} cannot be used together")]
    Identity {
        /// The certificate's file.
        certificate: String,
        /// The key's.
        key: String,
        /// Why not.
        #[source]
        source: rustls::Error,
    },
    /// The machine trusts nobody.
    #[error("this machine has no certificates of authorities to trust")]
    NoRoots,
    /// A host that no certificate can be for.
    #[error("`{0}` cannot be the name in a certificate")]
    Name(String),
}

impl TlsError {
    /// The next step, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoRoots => {
                Some("name them by --cacert FILE, or ask for none by --insecure".to_owned())
            }
            Self::Encrypted(file) => Some(format!("openssl pkey -in {file} -out key.pem")),
            _ => None,
        }
    }
}

impl Tls {
    /// TLS 1.2 and 1.3 as `options` have it.
    ///
    /// No session is resumed: every connection stands for a client of its own, and costs the target what a new client
    /// costs.
    ///
    /// # Errors
    /// When a file does not hold what it should, or no authority is known.
    ///
    /// # Panics
    /// Never: the provider supports the versions that are asked of it.
    pub fn new(options: &TlsOptions) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        // Read even where it is not asked: a wrong file is a mistake in any case.
        let authorities = options.authorities.as_ref().map(authorities).transpose()?;
        let verifier: Arc<dyn ServerCertVerifier> = if options.insecure {
            Arc::new(AnyCertificate(Arc::clone(&provider)))
        } else {
            let roots = match authorities {
                Some(roots) => roots,
                None => roots_of_this_machine()?,
            };
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .map_err(|_| TlsError::NoRoots)?
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring supports the default versions")
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &options.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => builder
                .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
                .map_err(|source| TlsError::Identity {
                    certificate: certificate.file.clone(),
                    key: key.file.clone(),
                    source,
                })?,
        };
        config.resumption = Resumption::disabled();
        Ok(Self(Arc::new(config)))
    }

    /// The same, offering `protocols` (ALPN), the best first.
    #[must_use]
    pub(super) fn offering(&self, protocols: &[&[u8]]) -> Arc<ClientConfig> {
        let mut config = ClientConfig::clone(&self.0);
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    }
}

/// The name that the certificate of `host` has to hold, and by which a server tells its hosts apart (SNI).
pub(super) fn server_name(host: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name(host.to_owned()))
}

fn authorities(pem: &Pem) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots
            .add(certificate)
            .map_err(|source| TlsError::Authority {
                file: pem.file.clone(),
                source,
            })?;
    }
    Ok(roots)
}

/// Those that can be read: one odd certificate among a hundred does not make the others less trusted.
fn roots_of_this_machine() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(TlsError::NoRoots);
    }
    Ok(roots)
}

fn certificates(pem: &Pem) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem.text).collect();
    let certificates = read.map_err(|source| TlsError::Damaged {
        file: pem.file.clone(),
        source,
    })?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate(pem.file.clone()));
    }
    Ok(certificates)
}

fn private_key(pem: &Pem) -> Result<PrivateKeyDer<'static>, TlsError> {
    let file = pem.file.clone();
    PrivateKeyDer::from_pem_slice(&pem.text).map_err(|error| match error {
        pem::Error::NoItemsFound if is_encrypted(&pem.text) => TlsError::Encrypted(file),
        pem::Error::NoItemsFound => TlsError::NoKey(file),
        source => TlsError::Damaged { file, source },
    })
}

fn is_encrypted(text: &[u8]) -> bool {
    let mark = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
    text.windows(mark.len()).any(|part| part == mark)
}

/// Takes any certificate for whom it says it is; that the peer has its key is still checked.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(file: &str, text: &str) -> Pem {
        Pem {
            file: file.into(),
            text: text.into(),
        }
    }

    fn message(options: &TlsOptions) -> String {
        Tls::new(options).unwrap_err().to_string()
    }

    const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n\
                             -----END ENCRYPTED PRIVATE KEY-----\n";

    #[test]
    fn files_that_hold_something_else_are_refused_by_name() {
        let own = rcgen::generate_simple_self_signed(["a".into()]).unwrap();
        let other = rcgen::generate_simple_self_signed(["b".into()]).unwrap();
        let certificate = pem("cert.pem", &own.cert.pem());
        let key = pem("key.pem", &own.signing_key.serialize_pem());
        let with_authorities = |text: &str| TlsOptions {
            authorities: Some(pem("ca.pem", text)),
            ..TlsOptions::default()
        };
        let with_identity = |certificate: &Pem, key: &Pem| TlsOptions {
            insecure: true,
            identity: Some((certificate.clone(), key.clone())),
            ..TlsOptions::default()
        };
        for (options, words) in [
            (
                with_authorities("hello"),
                "ca.pem holds no certificate in the PEM format",
            ),
            (
                with_authorities("-----BEGIN CERTIFICATE-----\nAAAA\n"),
                "ca.pem is damaged",
            ),
            (
                with_authorities("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
                "a certificate in ca.pem cannot be an authority's",
            ),
            (
                with_identity(&key, &key),
                "key.pem holds no certificate in the PEM format",
            ),
            (
                with_identity(&certificate, &certificate),
                "cert.pem holds no private key in the PEM format",
            ),
            (
                with_identity(&certificate, &pem("k", ENCRYPTED)),
                "the private key in k is encrypted",
            ),
            (
                with_identity(
                    &certificate,
                    &pem("b.pem", &other.signing_key.serialize_pem()),
                ),
                "the certificate in cert.pem and the key in b.pem cannot be used together",
            ),
        ] {
            assert_eq!(message(&options), words);
        }
        assert!(Tls::new(&with_authorities(&own.cert.pem())).is_ok());
        assert!(Tls::new(&with_identity(&certificate, &key)).is_ok());
        let shown = format!("{key:?}");
        assert!(!shown.contains("PRIVATE"), "{shown}");
    }

    #[test]
    fn a_host_is_the_name_in_a_certificate() {
        for host in ["localhost", "example.com", "127.0.0.1", "::1", "a_b.c"] {
            assert!(server_name(host).is_ok(), "{host}");
        }
        assert!(server_name("a..b").is_err());
    }
}
