//! TLS to engines.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// Which servers are trusted, and how this node shows who it is.
#[derive(Debug, Clone, Default)]
pub(super) struct Tls {
    authorities: Option<PathBuf>,
    identity: Option<(PathBuf, PathBuf)>,
}

type Failed = Box<dyn Error + Send + Sync>;

impl Tls {
    /// The file with the certificates of the authorities to trust, instead of the system's.
    pub(super) fn trust(&mut self, authorities: PathBuf) {
        self.authorities = Some(authorities);
    }

    /// The files with the certificate of this node and its chain, and with its key.
    pub(super) fn identify(&mut self, chain: PathBuf, key: PathBuf) {
        self.identity = Some((chain, key));
    }

    /// Whether anything is set, which needs TLS.
    pub(super) fn is_set(&self) -> bool {
        self.authorities.is_some() || self.identity.is_some()
    }

    /// Reads the files.
    pub(super) fn config(&self) -> Result<Arc<ClientConfig>, Failed> {
        let mut roots = RootCertStore::empty();
        let authorities = match &self.authorities {
            Some(file) => certificates(file)?,
            None => rustls_native_certs::load_native_certs().certs,
        };
        let (trusted, _) = roots.add_parsable_certificates(authorities);
        if trusted == 0 {
            return Err("no certificate authority is trusted".into());
        }
        // rustls panics if other crates enable two backends and none is named.
        let backend = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(backend)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        Ok(Arc::new(match &self.identity {
            None => config.with_no_client_auth(),
            Some((chain, key)) => {
                let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, &error))?;
                config.with_client_auth_cert(certificates(chain)?, private)?
            }
        }))
    }
}

/// The certificates of a file, at least one.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Failed> {
    let read = || CertificateDer::pem_file_iter(file)?.collect::<Result<Vec<_>, _>>();
    let found = read().map_err(|error| unreadable(file, &error))?;
    if found.is_empty() {
        return Err(format!("{} has no certificate", file.display()).into());
    }
    Ok(found)
}

/// The error of the file's reader may contain parts of the file, so only a failure of the system is shown.
fn unreadable(file: &Path, error: &rustls::pki_types::pem::Error) -> Failed {
    match error {
        rustls::pki_types::pem::Error::Io(error) => format!("{}: {error}", file.display()),
        _ => format!("{} is not a PEM file of the kind that is needed", file.display()),
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
    }

    #[test]
    fn files_that_cannot_be_used_are_named_and_not_shown() {
        let (authority, key) = ("tls-authority.pem", "tls-localhost.private.pem");
        for (authorities, chain, private, part) in [
            (authority, "tls-localhost.pem", key, None),
            ("nowhere.pem", "tls-localhost.pem", key, Some("nowhere.pem: No such file")),
            (key, "tls-localhost.pem", key, Some("private.pem has no certificate")),
            (authority, "README.md", key, Some("README.md has no certificate")),
            (authority, "tls-localhost.pem", authority, Some("is not a PEM file")),
            (authority, "tls-localhost.pem", "p256.private.pem", Some("")),
        ] {
            let mut tls = Tls::default();
            tls.trust(fixture(authorities));
            tls.identify(fixture(chain), fixture(private));
            match (tls.config(), part) {
                (Ok(_), None) => {}
                (Err(error), Some(part)) => assert!(error.to_string().contains(part), "{error}"),
                (found, _) => panic!("{authorities} {chain} {private}: {:?}", found.is_ok()),
            }
        }
    }
}
