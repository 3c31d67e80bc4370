//! From the HTTP head to a connection or a refusal, for all adapters: `decide`, then `refuse` or `run`.

mod decide;
#[cfg(feature = "hyper")]
mod hyper;
mod refuse;
mod run;

use http::{Response, header};

pub use self::run::Connection;
use crate::handshake::{Handshake, KEYWIRE_V1};
use crate::hub::Hub;
use crate::websocket::{self, Opening};

/// The server's answer to an opening: the response to send, and the connection to run after it.
///
/// An adapter for an HTTP framework collects the head into a [`Handshake`], calls [`Hub::upgrade`], sends the response and, if
/// there is a [`Connection`], runs it on the upgraded stream.
#[derive(Debug)]
pub struct Upgrade {
    /// 101, or the refusal with its JSON body.
    pub response: Response<String>,
    /// The connection to run. `Some` if the response is 101.
    pub connection: Option<Connection>,
}

impl Hub {
    /// Decides on an opening: whether it is valid (RFC 6455, section 4.2.1), within the limits, from an allowed origin, and
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
        let opening = match websocket::check(handshake.method(), handshake.version(), handshake.headers()) {
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
                let mut upgrade = Upgrade::accept(&opening, handshake.speaks_v1(), connection);
                if let Some(extension) = extension {
                    upgrade.response.headers_mut().insert(header::SEC_WEBSOCKET_EXTENSIONS, extension);
                }
                upgrade
            }
            Err(refusal) => self.refuse(&handshake, &opening, refusal),
        }
    }
}

impl Upgrade {
    fn accept(opening: &Opening, speaks_v1: bool, connection: Connection) -> Self {
        let response = opening.response(speaks_v1.then_some(KEYWIRE_V1)).map(|()| String::new());
        Self { response, connection: Some(connection) }
    }
}
