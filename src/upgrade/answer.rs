use http::Response;

use super::run::Connection;
use crate::handshake::KEYWIRE_V1;
use crate::websocket::Opening;

/// The server's answer to an opening: the response to send, and the connection to run after it.
///
/// An adapter for an HTTP framework collects the head into a [`Handshake`](crate::adapter::Handshake), calls [`Hub::upgrade`](crate::Hub::upgrade), sends the response and, if
/// there is a [`Connection`], runs it on the upgraded stream.
#[derive(Debug)]
pub struct Upgrade {
    /// The refusal with its JSON body, or the status that accepts: 101 over HTTP/1.1, 200 over HTTP/2 and HTTP/3.
    pub response: Response<String>,
    /// The connection to run. `Some` if the response accepts.
    pub connection: Option<Connection>,
}

impl Upgrade {
    pub(super) fn accept(opening: &Opening, connection: Connection) -> Self {
        // Left out if the client has not offered it.
        let response = opening.response(Some(KEYWIRE_V1)).map(|()| String::new());
        Self { response, connection: Some(connection) }
    }
}
