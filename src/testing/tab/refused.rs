use std::error::Error;
use std::fmt;

use http::{Response, StatusCode};
use serde::Deserialize;

use crate::close::Closed;
use crate::websocket::CloseCode;

/// The answer to an opening that was refused, as its client sees it.
///
/// A client that offers `keywire.v1`, as a [`Tab`](super::Tab) does unless it is
/// [`plain`](super::TabBuilder::plain), is refused by a close code after a 101, since a page cannot read a status. Any other client is
/// refused by a status with a JSON body.
///
/// ```
/// use keywire::Hub;
/// use keywire::auth::RawKey;
/// use keywire::testing::Tab;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let hub = Hub::builder(RawKey::from_bearer()).build();
/// let page = Tab::connect(&hub, Tab::builder()).await.unwrap_err();
/// assert_eq!((page.code(), page.kind()), (4501, "missing"));
/// let program = Tab::connect(&hub, Tab::builder().plain()).await.unwrap_err();
/// assert_eq!((program.code(), program.kind()), (401, "missing"));
/// # }
/// ```
#[derive(Debug)]
pub struct Refused {
    response: Response<String>,
    closed: Option<Closed>,
    kind: String,
}

impl Refused {
    pub(super) fn new(response: Response<String>, closed: Option<Closed>) -> Self {
        #[derive(Deserialize)]
        struct Body {
            error: String,
        }
        let kind = match &closed {
            Some(closed) => closed.reason.to_string(),
            None => {
                serde_json::from_str(response.body()).map_or_else(|_| String::new(), |body: Body| body.error)
            }
        };
        Self { response, closed, kind }
    }

    /// The close code, or the HTTP status if there was none.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.close_code().map_or(self.status().as_u16(), u16::from)
    }

    /// The kind of refusal, see [`Rejection::kind`](crate::auth::Rejection::kind): the reason of the close frame, or `error` in the JSON
    /// body. If the request is no valid opening, the body says why.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The HTTP status: 101 if there is a close code.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// The whole response, with its headers and its JSON body.
    #[must_use]
    pub fn response(&self) -> &Response<String> {
        &self.response
    }

    /// The code of the close frame. `None`: the opening was refused by a status.
    #[must_use]
    pub fn close_code(&self) -> Option<CloseCode> {
        self.closed.as_ref().map(|closed| closed.code)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.closed.is_some() { "close code" } else { "status" };
        write!(f, "the opening was refused with {what} {} ({})", self.code(), self.kind)
    }
}

impl Error for Refused {}
