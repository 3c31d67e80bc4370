//! The adapter: what an application on actix-web needs.
//!
//! actix-web hands an upgraded connection out as two streams: the rest of the request's body, and a body to answer with. A pipe makes
//! one byte stream of them.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::Version;
use keywire::Hub;
use keywire::adapter::{Handshake, PeerAddr, Upgrade};
use tokio::io::{AsyncWriteExt as _, duplex, split};
use tokio_util::io::ReaderStream;

/// How much waits in each direction of the pipe, beside what waits in actix-web.
const PIPE: usize = 16 * 1024;

/// Register it for all methods: `web::route().to(websocket)`.
pub(crate) async fn websocket(
    hub: web::Data<Hub>,
    request: HttpRequest,
    mut payload: web::Payload,
) -> HttpResponse {
    let Some(handshake) = handshake(&request) else { return HttpResponse::BadRequest().finish() };
    let Upgrade { response, connection } = hub.upgrade(handshake).await;
    let status = StatusCode::from_u16(response.status().as_u16()).expect("a status");
    let mut answer = HttpResponse::build(status);
    for (name, value) in response.headers() {
        answer.insert_header((name.as_str(), value.as_bytes()));
    }
    let Some(connection) = connection else { return answer.body(response.into_body()) };
    let (near, far) = duplex(PIPE);
    let (from_keywire, mut to_keywire) = split(far);
    tokio::spawn(connection.run(near, Bytes::new()));
    // Ends with the request's body, or with the session. Then keywire reads the end of the stream.
    actix_web::rt::spawn(async move {
        while let Some(Ok(chunk)) = payload.next().await {
            if to_keywire.write_all(&chunk).await.is_err() {
                break;
            }
        }
        let _ = to_keywire.shutdown().await;
    });
    answer.upgrade("websocket").streaming(ReaderStream::new(from_keywire))
}

/// actix-web has the types of `http` 0.2.
fn handshake(request: &HttpRequest) -> Option<Handshake> {
    let version = match request.version() {
        actix_web::http::Version::HTTP_11 => Version::HTTP_11,
        actix_web::http::Version::HTTP_2 => Version::HTTP_2,
        _ => Version::HTTP_10,
    };
    let mut head = http::Request::builder()
        .method(request.method().as_str())
        .uri(request.uri().to_string())
        .version(version);
    for (name, value) in request.headers() {
        head = head.header(name.as_str(), value.as_bytes());
    }
    if let Some(peer) = request.peer_addr() {
        head = head.extension(PeerAddr(peer));
    }
    let (parts, ()) = head.body(()).ok()?.into_parts();
    Some(Handshake::from_parts(&parts, "/websocket"))
}
