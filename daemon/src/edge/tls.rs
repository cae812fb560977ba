//! The certificate that a listener shows: loaded, checked, and re-read when its files change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

/// How often the files are looked at. They are read whole and compared, because what renews certificates swaps
/// files, links or directories, and a watch on one of these misses the others.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Why a certificate cannot be shown.
#[derive(Debug, Error)]
pub(crate) enum IdentityError {
    /// A file that cannot be read.
    #[error("cannot read {path}: {cause}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: std::io::Error,
    },
    /// A file without what it should hold.
    #[error("{path} holds no {what}: {cause}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
        /// What the parser says.
        #[source]
        cause: rustls_pki_types::pem::Error,
    },
    /// A key that is not the certificate's, or of a kind that is not supported.
    #[error("the key {key} does not fit the certificate {certificate}: {cause}")]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What rustls says.
        #[source]
        cause: rustls::Error,
    },
}

/// A certificate with its key, and the files that it came from.
#[derive(Debug)]
pub(crate) struct Identity {
    certificate_path: PathBuf,
    key_path: PathBuf,
    current: ArcSwap<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    files: (Vec<u8>, Vec<u8>),
    pair: Arc<CertifiedKey>,
}

impl Identity {
    /// Reads and checks both files (PEM; the certificate's chain, leaf first).
    ///
    /// # Errors
    /// When a file cannot be read or holds something else, or when the two do not belong together.
    pub(crate) fn load(certificate: &Path, key: &Path) -> Result<Arc<Self>, IdentityError> {
        let loaded = load(certificate, key, read_both(certificate, key)?)?;
        Ok(Arc::new(Self {
            certificate_path: certificate.to_owned(),
            key_path: key.to_owned(),
            current: ArcSwap::from_pointee(loaded),
        }))
    }

    /// Reads the files again and shows what they hold from now on. Returns whether anything changed.
    ///
    /// # Errors
    /// As [`Identity::load`]; the old pair stays.
    pub(crate) fn refresh(&self) -> Result<bool, IdentityError> {
        let files = read_both(&self.certificate_path, &self.key_path)?;
        if files == self.current.load().files {
            return Ok(false);
        }
        self.current.store(Arc::new(load(&self.certificate_path, &self.key_path, files)?));
        Ok(true)
    }

    /// Looks at the files until it is dropped. A pair that does not fit is reported once, and the old one stays.
    pub(super) async fn follow(self: Arc<Self>) {
        let mut told = None;
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            let identity = self.clone();
            let outcome = tokio::task::spawn_blocking(move || identity.refresh()).await;
            let trouble = match outcome {
                Ok(Ok(true)) => {
                    tracing::info!(certificate = %self.certificate_path.display(), "certificate was renewed");
                    None
                }
                Ok(Ok(false)) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(error) => Some(error.to_string()),
            };
            if let Some(error) = trouble.as_ref().filter(|_| told != trouble) {
                tracing::warn!(error, "certificate was not renewed, the old one stays");
            }
            told = trouble;
        }
    }

    /// The server's side of TLS: HTTP/2 before HTTP/1.1, this certificate for every name.
    pub(super) fn server_config(self: &Arc<Self>) -> Result<ServerConfig, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load().pair.clone())
    }
}

fn read_both(certificate: &Path, key: &Path) -> Result<(Vec<u8>, Vec<u8>), IdentityError> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|cause| IdentityError::Read { path: path.to_owned(), cause })
    };
    Ok((read(certificate)?, read(key)?))
}

fn load(certificate: &Path, key: &Path, files: (Vec<u8>, Vec<u8>)) -> Result<Loaded, IdentityError> {
    let content = |path: &Path, what: &'static str| {
        let path = path.to_owned();
        move |cause| IdentityError::Content { path, what, cause }
    };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&files.0)
        .collect::<Result<_, _>>()
        .map_err(content(certificate, "certificate"))?;
    if chain.is_empty() {
        return Err(content(certificate, "certificate")(rustls_pki_types::pem::Error::NoItemsFound));
    }
    let secret = PrivateKeyDer::from_pem_slice(&files.1).map_err(content(key, "private key"))?;
    let pair = CertifiedKey::from_der(chain, secret, &ring::default_provider()).map_err(|cause| {
        IdentityError::Pair { certificate: certificate.to_owned(), key: key.to_owned(), cause }
    })?;
    Ok(Loaded { files, pair: Arc::new(pair) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_pair(directory: &Path, name: &str) -> (PathBuf, PathBuf) {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let (certificate, key) = (directory.join("cert.pem"), directory.join("key.pem"));
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        (certificate, key)
    }

    #[test]
    fn a_new_pair_is_shown_and_a_bad_one_leaves_the_old() {
        let directory = tempfile::tempdir().unwrap();
        let (certificate, key) = write_pair(directory.path(), "a.example");
        let identity = Identity::load(&certificate, &key).unwrap();
        let shown = || identity.current.load().pair.cert[0].clone();
        let first = shown();
        assert!(!identity.refresh().unwrap(), "nothing changed");

        write_pair(directory.path(), "b.example");
        assert!(identity.refresh().unwrap());
        let second = shown();
        assert_ne!(first, second);

        let other = rcgen::generate_simple_self_signed(vec!["c.example".to_owned()]).unwrap();
        std::fs::write(&certificate, other.cert.pem()).unwrap();
        assert!(matches!(identity.refresh(), Err(IdentityError::Pair { .. })));
        std::fs::write(&certificate, "nothing").unwrap();
        assert!(matches!(identity.refresh(), Err(IdentityError::Content { .. })));
        std::fs::remove_file(&certificate).unwrap();
        assert!(matches!(identity.refresh(), Err(IdentityError::Read { .. })));
        assert_eq!(shown(), second);
    }
}
