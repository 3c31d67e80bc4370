use std::time::Duration;

use super::answering::Answerers;
use super::backoff::Backoff;
use super::credential::Credentials;
use super::dial::Endpoint;
use crate::auth::CredentialSource;

/// Settings of a client. Its connections share them.
pub(super) struct Settings {
    pub(super) endpoint: Endpoint,
    pub(super) credentials: Credentials,
    pub(super) place: CredentialSource,
    pub(super) backoff: Backoff,
    pub(super) settle: Duration,
    pub(super) attempt: Duration,
    pub(super) heartbeat: Duration,
    pub(super) pong: Duration,
    pub(super) renew: Duration,
    pub(super) message_bytes: usize,
    pub(super) answerers: Answerers,
}
