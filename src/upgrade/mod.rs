//! From the HTTP head to a connection or a refusal, for all adapters: `decide`, then `refuse` or `run`.

mod answer;
#[cfg(feature = "hyper")]
mod bare;
mod decide;
#[cfg(feature = "hyper")]
mod hyper;
mod refuse;
mod run;

use http::header;
use http::uri::Authority;

pub use self::answer::Upgrade;
pub use self::run::Connection;
use crate::handshake::Handshake;
use crate::hub::Hub;
use crate::websocket;

impl Hub {
    /// Decides on an opening: whether it is valid (RFC 6455, section 4.2.1; over HTTP/2, RFC 8441, section 5), within the limits, from an allowed origin, and
    /// whose key it has.
    ///
    /// The application's part (the extractor, its ticket store) has
    /// [`Config::handler_timeout`](crate::Config::handler_timeout). After that the client is asked to come back.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the opening, but a ticket may be used up already.
    pub async fn upgrade(&self, handshake: Handshake) -> Upgrade {
        let handshake = self.resolve(handshake);
        let peer = handshake.peer();
        let opening = match websocket::check(head(&handshake)) {
            Ok(opening) => opening,
            Err(error) => {
                self.metrics().no_opening();
                self.refusal_log().write("no_opening", &error.to_string(), peer);
                return Upgrade { response: refuse::opening(error), connection: None };
            }
        };
        let extension = self.config().compression.negotiate(handshake.headers());
        match self.decide(&handshake, extension.is_some()).await {
            Ok(connection) => {
                let mut upgrade = Upgrade::accept(&opening, connection);
                if let Some(extension) = extension {
                    upgrade.response.headers_mut().insert(header::SEC_WEBSOCKET_EXTENSIONS, extension);
                }
                upgrade
            }
            Err(refusal) => self.refuse(&handshake, &opening, refusal),
        }
    }
}

fn head(handshake: &Handshake) -> websocket::Head<'_> {
    websocket::Head {
        method: handshake.method(),
        version: handshake.version(),
        protocol: handshake.protocol(),
        authority: handshake.uri().authority().map(Authority::as_str),
        headers: handshake.headers(),
    }
}
