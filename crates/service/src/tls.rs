//! Certificates from files into rustls configurations, with errors that name the file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// Whether a TLS server asks its clients for a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientCertificates {
    /// It does not ask.
    Ignored,
    /// A client may show one that this CA file vouches for, or none.
    Optional(PathBuf),
    /// A client must show one that this CA file vouches for.
    Required(PathBuf),
}

/// Why a TLS configuration could not be built. Each names the file to look at.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read or is not PEM.
    #[error("cannot read {what} from {}", path.display())]
    Read {
        /// What was looked for.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: pem::Error,
    },
    /// The file holds no certificate.
    #[error("no certificate in {}, it must hold at least one PEM block CERTIFICATE", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A certificate in a CA file is not usable as a trust anchor.
    #[error("a certificate in {} cannot be trusted as a CA", path.display())]
    BadAnchor {
        /// The file.
        path: PathBuf,
        /// What rustls said.
        #[source]
        source: rustls::Error,
    },
    /// The key does not belong to the certificate, or neither is usable.
    #[error("certificate {} and key {} do not go together", cert.display(), key.display())]
    BadPair {
        /// The certificate file.
        cert: PathBuf,
        /// The key file.
        key: PathBuf,
        /// What rustls said.
        #[source]
        source: rustls::Error,
    },
    /// The verifier of client certificates could not be built.
    #[error("cannot verify client certificates with {}", path.display())]
    Verifier {
        /// The CA file.
        path: PathBuf,
        /// What rustls said.
        #[source]
        source: rustls::server::VerifierBuilderError,
    },
    /// The crypto provider lacks the protocol versions; a build error of ours.
    #[error("the TLS library refuses its own protocol versions")]
    Versions(#[source] rustls::Error),
}

/// A server configuration (TLS 1.2 and 1.3) from a certificate chain and a key, both PEM.
///
/// # Errors
/// [`TlsError`], naming the file.
pub fn server_config(cert: &Path, key: &Path, clients: &ClientCertificates) -> Result<Arc<ServerConfig>, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Versions)?;
    let builder = match clients {
        ClientCertificates::Ignored => builder.with_no_client_auth(),
        ClientCertificates::Optional(ca) | ClientCertificates::Required(ca) => {
            let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ca)?), provider());
            if matches!(clients, ClientCertificates::Optional(_)) {
                verifier = verifier.allow_unauthenticated();
            }
            let verifier = verifier.build().map_err(|source| TlsError::Verifier {
                path: ca.clone(),
                source,
            })?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let config = builder
        .with_single_cert(certificates(cert)?, private_key(key)?)
        .map_err(|source| TlsError::BadPair {
            cert: cert.to_owned(),
            key: key.to_owned(),
            source,
        })?;
    Ok(Arc::new(config))
}

/// A client configuration that trusts the CA file (a bundle such as `/etc/ssl/certs/ca-certificates.crt` will do) and shows
/// a certificate of its own if `identity` (certificate chain, key) is given.
///
/// # Errors
/// [`TlsError`], naming the file.
pub fn client_config(ca: &Path, identity: Option<(&Path, &Path)>) -> Result<Arc<ClientConfig>, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Versions)?
        .with_root_certificates(roots(ca)?);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => builder
            .with_client_auth_cert(certificates(cert)?, private_key(key)?)
            .map_err(|source| TlsError::BadPair {
                cert: cert.to_owned(),
                key: key.to_owned(),
                source,
            })?,
    };
    Ok(Arc::new(config))
}

/// The certificates of a CA file in DER, each fit as a trust anchor: for clients that bring a TLS library of their own.
///
/// # Errors
/// [`TlsError`], naming the file.
pub fn authorities(ca: &Path) -> Result<Vec<Vec<u8>>, TlsError> {
    roots(ca)?;
    Ok(certificates(ca)?
        .into_iter()
        .map(|certificate| certificate.to_vec())
        .collect())
}

/// The provider is handed over explicitly: no process-wide default that two libraries could fight over.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::Read {
        what: "certificates",
        path: path.to_owned(),
        source,
    };
    let chain = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(failed)?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate { path: path.to_owned() });
    }
    Ok(chain)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|source| TlsError::Read {
        what: "a private key",
        path: path.to_owned(),
        source,
    })
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path)? {
        store.add(certificate).map_err(|source| TlsError::BadAnchor {
            path: path.to_owned(),
            source,
        })?;
    }
    Ok(store)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    struct Files {
        _dir: tempfile::TempDir,
        cert: PathBuf,
        key: PathBuf,
        other_key: PathBuf,
    }

    fn files() -> Files {
        let dir = tempfile::tempdir().unwrap();
        let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(vec!["other".to_owned()]).unwrap();
        let write = |name: &str, text: String| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let cert = write("cert.pem", pair.cert.pem());
        let key = write("key.pem", pair.signing_key.serialize_pem());
        let other_key = write("other.pem", other.signing_key.serialize_pem());
        Files {
            _dir: dir,
            cert,
            key,
            other_key,
        }
    }

    #[test]
    fn a_certificate_and_its_key_make_a_server_and_a_client() {
        let files = files();
        for clients in [
            ClientCertificates::Ignored,
            ClientCertificates::Optional(files.cert.clone()),
            ClientCertificates::Required(files.cert.clone()),
        ] {
            server_config(&files.cert, &files.key, &clients).unwrap();
        }
        client_config(&files.cert, None).unwrap();
        client_config(&files.cert, Some((&files.cert, &files.key))).unwrap();
    }

    #[test]
    fn every_error_names_the_file() {
        let files = files();
        let missing = Path::new("/nonexistent/ca.pem");
        let error = client_config(missing, None).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/ca.pem"), "{error}");
        let error = server_config(&files.cert, &files.other_key, &ClientCertificates::Ignored).unwrap_err();
        assert!(error.to_string().contains("other.pem"), "{error}");
        let error = server_config(&files.key, &files.key, &ClientCertificates::Ignored).unwrap_err();
        assert!(error.to_string().contains("no certificate in"), "{error}");
        let error = server_config(&files.cert, &files.cert, &ClientCertificates::Ignored).unwrap_err();
        assert!(error.to_string().contains("a private key from"), "{error}");
    }
}
