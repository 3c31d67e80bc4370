//! The place of a JWK set: a file or a URL.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::JwksError;

pub(super) enum Origin {
    File(PathBuf),
    #[cfg(feature = "jwks")]
    Web(Box<super::web::Endpoint>),
}

impl Origin {
    /// Reads the whole document, if it is no larger than `max_bytes`.
    pub(super) async fn read(&self, max_bytes: usize) -> Result<Vec<u8>, JwksError> {
        match self {
            Self::File(path) => {
                let path = path.clone();
                let reading = tokio::task::spawn_blocking(move || read_file(&path, max_bytes));
                reading.await.unwrap_or(Err(JwksError::File(io::ErrorKind::Other)))
            }
            #[cfg(feature = "jwks")]
            Self::Web(endpoint) => endpoint.get(max_bytes).await,
        }
    }

    /// Whether the document may contain secrets.
    pub(super) fn may_be_secret(&self) -> bool {
        matches!(self, Self::File(_))
    }
}

fn read_file(path: &Path, max_bytes: usize) -> Result<Vec<u8>, JwksError> {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(max_bytes as u64 + 1).read_to_end(&mut text));
    match read {
        Err(error) => Err(JwksError::File(error.kind())),
        Ok(bytes) if bytes > max_bytes => Err(JwksError::TooLarge),
        Ok(_) => Ok(text),
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            #[cfg(feature = "jwks")]
            Self::Web(endpoint) => endpoint.fmt(f),
        }
    }
}
