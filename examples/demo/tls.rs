//! `--tls-cert`, `--tls-key`: HTTPS.

use std::path::PathBuf;

use keywire::serve::{Tls, TlsError};

/// Options for TLS.
#[derive(clap::Args, Default)]
#[command(next_help_heading = "TLS")]
pub(crate) struct TlsOptions {
    /// Serve HTTPS with the certificate chain in this PEM file. It is read again when it changes.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The private key of the certificate.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

impl TlsOptions {
    /// The certificate. `None`: plain HTTP.
    pub(crate) fn read(&self) -> Result<Option<Tls>, TlsError> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(chain), Some(key)) => Tls::files(chain, key).map(Some),
            _ => Ok(None),
        }
    }
}
