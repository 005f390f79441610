//! Configurations of rustls as clients and servers of real-time protocols want them: TLS 1.3 and 1.2, the cryptography of
//! ring, HTTP/1.1 in ALPN, and certificates as PEM, the format in which they are handed out.
//!
//! `stillwire-std` and `stillwire-tokio` use this crate and show it as `tls`. Whoever wants more (client certificates, other
//! cryptography) builds a configuration with [`rustls`] itself: the adapters take any.
//!
//! ```
//! use stillwire_tls::{client_trusting, server};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A certificate as `mkcert` or a certificate authority gives it; here one that nobody has signed.
//! let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
//! let (certificates, key) = (made.cert.pem(), made.signing_key.serialize_pem());
//!
//! let server = server(certificates.as_bytes(), key.as_bytes())?;
//! let client = client_trusting(certificates.as_bytes())?; // `client()` trusts the usual authorities
//! assert_eq!((server.alpn_protocols.len(), client.alpn_protocols.len()), (1, 1));
//! # Ok(()) }
//! ```

#![forbid(unsafe_code)]

use std::sync::Arc;
#[cfg(any(feature = "webpki-roots", feature = "native-roots"))]
use std::sync::OnceLock;

use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore, ServerConfig, WantsVerifier,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
};

pub use rustls;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is no PEM, or one without what is looked for.
    #[error("no certificate or key can be read: {0}")]
    Pem(pem::Error),
    /// The certificate or the key is of no use, or they do not belong together.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
    /// There is no certificate authority to trust: neither feature, `webpki-roots` nor `native-roots`, is on, or the
    /// platform has none.
    #[error("there is no certificate authority to trust")]
    NoRoots,
}

/// HTTP/1.1 (RFC 7301 §6): what all the protocols here begin with.
fn alpn() -> Vec<Vec<u8>> {
    vec![b"http/1.1".to_vec()]
}

/// A server with its certificate, followed by those between it and its authority, and its key, both as PEM.
///
/// # Errors
/// [`Error`].
pub fn server(certificates: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, Error> {
    let certificates = read_certificates(certificates)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(Error::Pem)?;
    let config = ServerConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth();
    let mut config = config.with_single_cert(certificates, key)?;
    config.alpn_protocols = alpn();
    Ok(config.into())
}

/// A client that trusts these certificates, as PEM, and no others: those of an authority of one's own.
///
/// # Errors
/// [`Error`].
pub fn client_trusting(certificates: &[u8]) -> Result<Arc<ClientConfig>, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(certificates)? {
        roots.add(certificate)?;
    }
    with_roots(roots)
}

/// A client that trusts the usual authorities: those of the platform with the feature `native-roots`, otherwise those of
/// Mozilla with the feature `webpki-roots`. It is made once in a program.
///
/// # Errors
/// [`Error::NoRoots`].
pub fn client() -> Result<Arc<ClientConfig>, Error> {
    #[cfg(any(feature = "webpki-roots", feature = "native-roots"))]
    {
        static CLIENT: OnceLock<Arc<ClientConfig>> = OnceLock::new();
        if let Some(client) = CLIENT.get() {
            return Ok(client.clone());
        }
        let client = with_roots(usual_roots())?;
        Ok(CLIENT.get_or_init(|| client).clone())
    }
    #[cfg(not(any(feature = "webpki-roots", feature = "native-roots")))]
    Err(Error::NoRoots)
}

#[cfg(feature = "native-roots")]
fn usual_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // One that cannot be read or understood is one that is not trusted.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

#[cfg(all(feature = "webpki-roots", not(feature = "native-roots")))]
fn usual_roots() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

fn with_roots(roots: RootCertStore) -> Result<Arc<ClientConfig>, Error> {
    if roots.is_empty() {
        return Err(Error::NoRoots);
    }
    let builder: ConfigBuilder<ClientConfig, WantsVerifier> =
        ClientConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn();
    Ok(config.into())
}

fn read_certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(Error::Pem)?;
    if certificates.is_empty() { Err(Error::Pem(pem::Error::NoItemsFound)) } else { Ok(certificates) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate() {
        assert!(matches!(server(b"", b""), Err(Error::Pem(_))));
        assert!(matches!(client_trusting(b"hello"), Err(Error::Pem(_))));
        let made = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), other.signing_key.serialize_pem());
        assert!(matches!(server(certificate.as_bytes(), key.as_bytes()), Err(Error::Rustls(_))));
        assert!(matches!(server(certificate.as_bytes(), b"no key"), Err(Error::Pem(_))));
    }

    #[cfg(all(feature = "webpki-roots", not(feature = "native-roots")))]
    #[test]
    fn the_usual_authorities() {
        assert!(Arc::ptr_eq(&client().unwrap(), &client().unwrap()));
    }
}
