//! Renders a refusal: as a status with a JSON body, or as a close code.

use http::{HeaderValue, Response, StatusCode, header};

use super::answer::Upgrade;
use super::run::{Connection, Fate};
use crate::handshake::Handshake;
use crate::hub::Hub;
use crate::refusal::Refusal;
use crate::rejection::Rejection;
use crate::websocket::{Opening, OpeningError};

impl Hub {
    /// Refuses an opening. A browser cannot read the status of a refusal, but it can read a close code, so a client that
    /// speaks `keywire.v1` is accepted and gets a close code. If too many connections carry refusals, its browser reports 1006,
    /// which asks it to come back.
    pub(super) fn refuse(&self, handshake: &Handshake, opening: &Opening, refusal: Refusal) -> Upgrade {
        let rejection = refusal.rejection;
        self.metrics().refused(rejection);
        refusal.log(self.refusal_log(), handshake.peer());
        let speaks_v1 = handshake.speaks_v1();
        match self.admission().refusal_permit().filter(|_| speaks_v1) {
            Some(permit) => {
                let refused = Fate::Refused { hub: self.clone(), rejection, permit };
                Upgrade::accept(opening, Connection::new(self, refused))
            }
            None => Upgrade { response: self::rejection(rejection), connection: None },
        }
    }
}

/// The response to a request that is no valid opening.
pub(super) fn opening(error: OpeningError) -> Response<String> {
    let mut response = refusal(error.status(), &error.to_string());
    response.headers_mut().extend(error.headers());
    response
}

/// The response to a refused opening.
fn rejection(rejection: Rejection) -> Response<String> {
    let mut response = refusal(rejection.status(), rejection.kind());
    if rejection.status() == StatusCode::UNAUTHORIZED {
        // RFC 9110, section 11.6.1: a 401 names a scheme.
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(wait) = rejection.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs()));
    }
    response
}

fn refusal(status: StatusCode, error: &str) -> Response<String> {
    let mut response = Response::new(serde_json::json!({ "error": error }).to_string());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
