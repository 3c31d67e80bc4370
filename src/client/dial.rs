//! Opens a connection from a URL and a credential.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};

use super::ClientError;
use super::progress::{Progress, Watched};
use super::race;
use crate::auth::CredentialSource;
use crate::handshake::{KEYWIRE_V1, TOKEN_PROTOCOL};

pub(super) type Socket = WebSocketStream<MaybeTlsStream<Watched<TcpStream>>>;

/// Address of the server.
#[derive(Clone)]
pub(super) struct Endpoint {
    uri: Uri,
    /// Set for `wss`.
    tls: Option<Arc<ClientConfig>>,
}

/// All characters except the unreserved ones of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl Endpoint {
    pub(super) fn new(url: &str) -> Result<Self, ClientError> {
        let uri: Uri = url.parse().map_err(|_| ClientError::Url("it is malformed"))?;
        let secure = match uri.scheme_str() {
            Some("ws" | "http") => false,
            Some("wss" | "https") => true,
            _ => return Err(ClientError::Url("it must begin with ws, wss, http or https")),
        };
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if authority.contains('@') {
            return Err(ClientError::Url("it must not contain a credential before the host"));
        }
        let host = uri.host().unwrap_or_default();
        if host.is_empty() {
            return Err(ClientError::Url("it has no host"));
        }
        // `Uri` ignores a port that does not fit into a u16, and the default would replace it.
        if uri.port_u16().is_none() && authority.strip_prefix(host).is_some_and(|port| port.len() > 1) {
            return Err(ClientError::Url("its port must be a number of at most 65535"));
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let uri = format!("{}://{authority}{path}", if secure { "wss" } else { "ws" });
        let uri = uri.parse().map_err(|_| ClientError::Url("it is malformed"))?;
        let tls = if secure { Some(tls()?) } else { None };
        Ok(Self { uri, tls })
    }

    pub(super) async fn connect(
        &self,
        credential: Option<&str>,
        place: &CredentialSource,
        offers: &[String],
        message_bytes: usize,
    ) -> Result<(Socket, Progress), ClientError> {
        let request = self.request(credential, place, offers)?;
        let host = self.uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let port = self.uri.port_u16().unwrap_or(if self.tls.is_some() { 443 } else { 80 });
        let stream = race::connect(host, port).await.map_err(failed)?;
        // Fails only for a dead socket.
        let _ = stream.set_nodelay(true);
        let (stream, progress) = Watched::new(stream);
        let connector = self.tls.clone().map_or(Connector::Plain, Connector::Rustls);
        let config = WebSocketConfig::default()
            .max_message_size(Some(message_bytes))
            .max_frame_size(Some(message_bytes));
        match client_async_tls_with_config(request, stream, Some(config), Some(connector)).await {
            Ok((socket, _)) => Ok((socket, progress)),
            Err(Error::Http(response)) => Err(ClientError::Status(response.status().as_u16())),
            Err(error) => Err(failed(error)),
        }
    }

    /// The opening request with the credential in its place. `offers`: further subprotocols.
    fn request(
        &self,
        credential: Option<&str>,
        place: &CredentialSource,
        offers: &[String],
    ) -> Result<Request<()>, ClientError> {
        let (mut path, mut query) =
            (self.uri.path().to_owned(), self.uri.query().unwrap_or_default().to_owned());
        let mut headers = HeaderMap::new();
        let mut protocols = KEYWIRE_V1.to_owned();
        for offer in offers {
            protocols = format!("{protocols}, {offer}");
        }
        if let Some(credential) = credential {
            if credential.is_empty() {
                return Err(ClientError::Credential);
            }
            let escaped = utf8_percent_encode(credential, RESERVED);
            match place {
                CredentialSource::Path => path = format!("{}/{escaped}", path.trim_end_matches('/')),
                CredentialSource::Query(name) => {
                    let name = utf8_percent_encode(name, RESERVED);
                    query = [&*query, if query.is_empty() { "" } else { "&" }, &format!("{name}={escaped}")]
                        .concat();
                }
                CredentialSource::Bearer => {
                    headers.insert(AUTHORIZATION, secret(&format!("Bearer {credential}"))?);
                }
                CredentialSource::Cookie(name) => {
                    headers.insert(COOKIE, secret(&format!("{name}={credential}"))?);
                }
                CredentialSource::Header(name) => {
                    let name = HeaderName::try_from(&**name).map_err(|_| ClientError::Credential)?;
                    headers.insert(name, secret(credential)?);
                }
                CredentialSource::Subprotocol => {
                    protocols =
                        format!("{protocols}, {TOKEN_PROTOCOL}{}", URL_SAFE_NO_PAD.encode(credential));
                }
            }
        }
        headers.insert(SEC_WEBSOCKET_PROTOCOL, secret(&protocols)?);
        let query = if query.is_empty() { query } else { format!("?{query}") };
        let scheme = self.uri.scheme_str().unwrap_or_default();
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        let uri = format!("{scheme}://{authority}{path}{query}");
        let mut request = uri.into_client_request().map_err(|_| ClientError::Credential)?;
        request.headers_mut().extend(headers);
        Ok(request)
    }
}

impl fmt::Debug for Endpoint {
    /// Omits the path and the query, since they may contain a credential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        write!(f, "{}://{authority}", self.uri.scheme_str().unwrap_or_default())
    }
}

fn secret(text: &str) -> Result<HeaderValue, ClientError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| ClientError::Credential)?;
    value.set_sensitive(true);
    Ok(value)
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> ClientError {
    ClientError::Connection(Box::new(error))
}

/// TLS with the system's certificate authorities.
fn tls() -> Result<Arc<ClientConfig>, ClientError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let why = found.errors.into_iter().next().map(Into::into);
        let none = || "the system trusts no certificate authority".into();
        return Err(ClientError::Tls(why.unwrap_or_else(none)));
    }
    // rustls panics if other crates enable two backends and none is named.
    let backend = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(backend).with_safe_default_protocol_versions();
    let config = config.map_err(|error| ClientError::Tls(error.into()))?;
    let config = config.with_root_certificates(roots).with_no_client_auth();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(url: &str, credential: &str, place: CredentialSource) -> Request<()> {
        Endpoint::new(url).unwrap().request(Some(credential), &place, &[]).unwrap()
    }

    #[test]
    fn the_credential_goes_where_it_belongs() {
        let strange = "a/b c?é";
        let uri = |url, place| request(url, strange, place).uri().to_string();
        assert_eq!(uri("http://h/ws/", CredentialSource::Path), "ws://h/ws/a%2Fb%20c%3F%C3%A9");
        assert_eq!(
            uri("ws://h:8/ws?room=1", CredentialSource::Path),
            "ws://h:8/ws/a%2Fb%20c%3F%C3%A9?room=1"
        );
        assert_eq!(
            uri("ws://h/ws?room=1", CredentialSource::Query("t".into())),
            "ws://h/ws?room=1&t=a%2Fb%20c%3F%C3%A9"
        );
        assert_eq!(uri("ws://h/ws", CredentialSource::Query("t".into())), "ws://h/ws?t=a%2Fb%20c%3F%C3%A9");

        let header = |name: &str, place| {
            let request = request("ws://h/ws", "t0ken", place);
            assert_eq!(request.uri(), "ws://h/ws");
            request.headers()[name].to_str().unwrap().to_owned()
        };
        assert_eq!(header("authorization", CredentialSource::Bearer), "Bearer t0ken");
        assert_eq!(header("cookie", CredentialSource::Cookie("id".into())), "id=t0ken");
        assert_eq!(header("x-key", CredentialSource::Header("x-key".into())), "t0ken");
        assert_eq!(header("sec-websocket-protocol", CredentialSource::Bearer), "keywire.v1");
        assert_eq!(
            header("sec-websocket-protocol", CredentialSource::Subprotocol),
            "keywire.v1, base64url.bearer.keywire.dDBrZW4"
        );
    }

    #[test]
    fn what_cannot_stand_there_is_an_error() {
        let endpoint = Endpoint::new("ws://h/ws").unwrap();
        for place in [
            CredentialSource::Bearer,
            CredentialSource::Header("x y".into()),
            CredentialSource::Header("x".into()),
        ] {
            let error = endpoint.request(Some("two\nlines"), &place, &[]).unwrap_err();
            assert!(matches!(error, ClientError::Credential), "{place:?}");
        }
        for place in [
            CredentialSource::Path,
            CredentialSource::Query("t".into()),
            CredentialSource::Bearer,
            CredentialSource::Subprotocol,
        ] {
            assert!(
                matches!(endpoint.request(Some(""), &place, &[]), Err(ClientError::Credential)),
                "{place:?}"
            );
        }
        for url in ["ws://h:80", "ws://h:65535/", "ws://h:/ws", "ws://[::1]", "ws://[::1]:8090/ws", "wss://h"]
        {
            Endpoint::new(url).unwrap();
        }
        for url in [
            "",
            "h",
            "/ws",
            "ftp://h/",
            "ws://me:secret@h/",
            "ws://",
            "ws:///ws",
            "ws://:80/",
            "ws://h:65536/",
            "ws://h:99999/ws",
            "ws://h:http/",
            "ws://h:-1/",
            "ws://[::1]:99999/",
            "ws://h h/",
        ] {
            assert!(matches!(Endpoint::new(url), Err(ClientError::Url(_))), "{url}");
        }
    }
}
