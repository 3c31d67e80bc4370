//! A certificate chain and its key, from PEM.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use sha2::{Digest as _, Sha256};

use super::error::TlsError;
use super::expiry;

/// A certificate chain and its key, in PEM, and where they come from.
pub(super) struct Pair {
    pub(super) chain: Pem,
    pub(super) key: Pem,
}

pub(super) struct Pem {
    pub(super) place: String,
    pub(super) bytes: Vec<u8>,
}

/// A usable pair.
#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) key: Arc<CertifiedKey>,
    /// The end of the validity, in seconds since 1970. `None` if it is not understood.
    pub(super) expires: Option<u64>,
}

/// The largest file that is read.
const LARGEST: u64 = 1 << 20;

impl Pem {
    pub(super) fn read(path: &Path) -> Result<Self, TlsError> {
        let place = path.display().to_string();
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
        match read {
            Err(source) => Err(TlsError::Read { place, source }),
            Ok(read) if read as u64 > LARGEST => Err(TlsError::TooLarge { place }),
            Ok(_) => Ok(Self { place, bytes }),
        }
    }
}

impl Pair {
    pub(super) fn read(chain: &Path, key: &Path) -> Result<Self, TlsError> {
        Ok(Self { chain: Pem::read(chain)?, key: Pem::read(key)? })
    }

    pub(super) fn given(chain: &[u8], key: &[u8]) -> Self {
        Self {
            chain: Pem { place: "the certificate chain".to_owned(), bytes: chain.to_vec() },
            key: Pem { place: "the key".to_owned(), bytes: key.to_vec() },
        }
    }

    /// Fingerprint of the bytes.
    pub(super) fn digest(&self) -> [u8; 32] {
        let digests = [Sha256::digest(&self.chain.bytes), Sha256::digest(&self.key.bytes)];
        Sha256::digest(digests.concat()).into()
    }

    pub(super) fn parse(self) -> Result<Certificate, TlsError> {
        let (chain, key) = (self.chain, self.key);
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&chain.bytes)
            .collect::<Result<_, _>>()
            .map_err(|_| TlsError::Pem { place: chain.place.clone() })?;
        let Some(own) = certificates.first() else {
            return Err(TlsError::NoCertificate { place: chain.place });
        };
        let expires = expiry::of(own);
        let private = match PrivateKeyDer::from_pem_slice(&key.bytes) {
            Ok(private) => private,
            Err(pem::Error::NoItemsFound) if is_encrypted(&key.bytes) => {
                return Err(TlsError::EncryptedKey { place: key.place });
            }
            Err(pem::Error::NoItemsFound) => return Err(TlsError::NoKey { place: key.place }),
            // The error itself may quote the key.
            Err(_) => return Err(TlsError::Pem { place: key.place }),
        };
        match CertifiedKey::from_der(certificates, private, &ring::default_provider()) {
            Ok(pair) => Ok(Certificate { key: Arc::new(pair), expires }),
            Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                Err(TlsError::Mismatch { chain: chain.place, key: key.place })
            }
            Err(Error::InvalidCertificate(error)) => {
                Err(TlsError::Certificate { place: chain.place, reason: format!("{error:?}") })
            }
            Err(_) => Err(TlsError::Key { place: key.place }),
        }
    }
}

fn is_encrypted(pem: &[u8]) -> bool {
    const LABEL: &[u8] = b"BEGIN ENCRYPTED PRIVATE KEY";
    pem.windows(LABEL.len()).any(|window| window == LABEL)
}
