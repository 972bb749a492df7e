//! TLS: the certificate that a service shows, and how its own health check knows it again.

use contract::setting::{SettingError, text};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme,
};
use std::sync::Arc;

/// A certificate with those that lead to its authority, and its key.
#[derive(Debug)]
pub(crate) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads the PEM files that `TLS_CERT` and `TLS_KEY` name; none where neither is set.
    ///
    /// # Errors
    /// Names the variable, the file and what is wrong with it.
    pub(crate) fn from_env() -> Result<Option<Self>, SettingError> {
        let (certificates, key) = match (text("TLS_CERT")?, text("TLS_KEY")?) {
            (None, None) => return Ok(None),
            (Some(certificates), Some(key)) => (certificates, key),
            (Some(_), None) => return Err(alone("TLS_CERT", "TLS_KEY")),
            (None, Some(_)) => return Err(alone("TLS_KEY", "TLS_CERT")),
        };
        let chain: Vec<_> = CertificateDer::pem_file_iter(&certificates)
            .and_then(Iterator::collect)
            .map_err(|error| unusable("TLS_CERT", &certificates, &error))?;
        if chain.is_empty() {
            return Err(unusable("TLS_CERT", &certificates, &"no certificate in it"));
        }
        let key = PrivateKeyDer::from_pem_file(&key)
            .map_err(|error| unusable("TLS_KEY", &key, &error))?;
        Ok(Some(Self { chain, key }))
    }

    /// How to serve with it.
    ///
    /// # Errors
    /// Where certificate and key do not belong together.
    pub(crate) fn server(&self) -> Result<ServerConfig, SettingError> {
        ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder
                    .with_no_client_auth()
                    .with_single_cert(self.chain.clone(), self.key.clone_key())
            })
            .map_err(|error| {
                SettingError::new(format!(
                    "TLS_CERT and TLS_KEY cannot be used together: {error}"
                ))
            })
    }

    /// How to ask whoever serves with it: this very certificate is trusted, by whatever name, and no other.
    ///
    /// # Errors
    /// None that is known: the versions of the protocol are those of the library.
    pub(crate) fn client(&self) -> Result<ClientConfig, Error> {
        let provider = provider();
        let known = Known {
            certificate: self.chain[0].clone(),
            provider: Arc::clone(&provider),
        };
        Ok(ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(known))
            .with_no_client_auth())
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn alone(set: &str, missing: &str) -> SettingError {
    SettingError::new(format!(
        "{set} is set and {missing} is not; set both or neither"
    ))
}

fn unusable(name: &str, file: &str, error: &dyn std::fmt::Display) -> SettingError {
    SettingError::new(format!(
        "{name} is {file:?}, which cannot be used: {error}; name a file in the PEM format"
    ))
}

/// Trusts one certificate, which it has in its hands.
#[derive(Debug)]
struct Known {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Known {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *shown == self.certificate {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
