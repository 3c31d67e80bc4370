use std::sync::{Arc, PoisonError, RwLock};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::pair::Certificate;

/// The certificate in use. Handshakes that begin after a change use the new one.
#[derive(Debug)]
pub(super) struct Slot(RwLock<Certificate>);

impl Slot {
    pub(super) fn new(certificate: Certificate) -> Self {
        Self(RwLock::new(certificate))
    }

    pub(super) fn set(&self, certificate: Certificate) {
        // A poisoned lock is safe to use: no panic can interrupt a change.
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = certificate;
    }

    pub(super) fn expires(&self) -> Option<u64> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).expires
    }
}

impl ResolvesServerCert for Slot {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).key.clone())
    }
}
