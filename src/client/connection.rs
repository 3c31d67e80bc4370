//! One connection, from the upgrade to its end.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{SplitSink, SplitStream};
use serde::Deserialize;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message as Frame};

use super::builder::Settings;
use super::dial::Socket;
use super::life::{Ended, Life};
use super::outgoing::Outgoing;
use super::progress::Progress;
use super::renewal::Renewal;
use super::{ClientError, Credential, Event, Letter, Message};
use crate::deadline::after;
use crate::key::Key;
use crate::message::{Code, Flag, MessageId, Push};
use crate::websocket::CloseCode;

/// What is known of one connection.
struct Connection {
    settings: Arc<Settings>,
    outgoing: Outgoing,
    /// What the server did, and as much of it as was seen.
    progress: Progress,
    seen: u64,
    /// When the server was last heard of, or asked for a sign of life since.
    since: Instant,
    asked: bool,
    last_id: i64,
    /// Who waits for an answer.
    waiting: HashMap<i64, Waiting>,
    renewal: Renewal,
}

enum Waiting {
    Request(oneshot::Sender<Push>),
    /// The credential that was sent ends then.
    Renewal(Option<Instant>),
}

/// A connection that takes nothing more, or from which nothing more comes.
struct Broken(ClientError);

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self(ClientError::Connection(Box::new(error)))
    }
}

/// So many who wait are kept without a look whether they still do.
const UNSWEPT: usize = 64;

/// Asks a server, which may open only to refuse, for a first word.
const PING: &str = r#"{"flag":"kw:ping"}"#;

impl Life {
    /// Talks until it ends. The server's first word says that it let us in, and that has to come before `due`.
    pub(super) async fn converse(
        &mut self,
        socket: Socket,
        progress: Progress,
        credential: Option<Credential>,
        due: Instant,
        opened_at: &mut Option<Instant>,
    ) -> Ended {
        let (sink, mut stream) = socket.split();
        let mut connection = Connection::new(self.settings.clone(), sink, progress, credential.as_ref());
        connection.outgoing.push(Frame::text(PING));
        let ended = self.listen(&mut connection, &mut stream, due, opened_at).await;
        self.unsent.extend(connection.outgoing.message);
        ended
    }

    async fn listen(
        &mut self,
        connection: &mut Connection,
        stream: &mut SplitStream<Socket>,
        due: Instant,
        opened_at: &mut Option<Instant>,
    ) -> Ended {
        let mut posted = true;
        loop {
            let look_at = if opened_at.is_some() { connection.look_at() } else { due };
            let renew_at = connection.renewal.due.unwrap_or(due);
            let done = tokio::select! {
                () = self.interest.over() => {
                    self.depart(connection, stream, opened_at.is_some()).await;
                    return Ended::closed();
                }
                frame = stream.next() => match frame {
                    Some(Ok(Frame::Text(text))) => {
                        if opened_at.is_none() {
                            *opened_at = Some(Instant::now());
                            self.tell(Event::Open).await;
                        }
                        if let Some(event) = connection.receive(&text) {
                            self.tell(event).await;
                        }
                        // While the application made room for it, nobody listened to the server.
                        connection.heard();
                        Ok(())
                    }
                    Some(Ok(Frame::Close(frame))) => {
                        let _ = timeout(connection.settings.pong, connection.outgoing.close()).await;
                        return ended(frame);
                    }
                    Some(Ok(_)) => {
                        connection.heard();
                        Ok(())
                    }
                    Some(Err(error)) => Err(error.into()),
                    None => return Ended::lost(),
                },
                written = connection.outgoing.write(), if connection.outgoing.is_busy() => {
                    written.map_err(Broken::from)
                }
                letter = self.letters.recv(), if opened_at.is_some() && posted && !connection.outgoing.is_busy() => {
                    match letter {
                        Some(letter) => connection.post(letter),
                        // There is no handle any more, but somebody listens.
                        None => posted = false,
                    }
                    Ok(())
                }
                () = sleep_until(look_at) => match opened_at {
                    Some(_) => connection.look(),
                    None => Err(Broken(ClientError::Timeout)),
                },
                () = sleep_until(renew_at), if connection.renewal.due.is_some() && opened_at.is_some() => {
                    connection.renewal.ask();
                    Ok(())
                }
                fresh = &mut connection.renewal.fresh => {
                    if let Err(error) = connection.exchange(fresh) {
                        self.tell(Event::Failed(error)).await;
                    }
                    Ok(())
                }
            };
            if let Err(Broken(error)) = done {
                self.tell(Event::Failed(error)).await;
                return Ended::lost();
            }
        }
    }

    /// Sends what waits, and says goodbye. Reads on until the server has said so too: a socket that is closed with something
    /// unread in it takes back what it sent.
    async fn depart(&mut self, connection: &mut Connection, stream: &mut SplitStream<Socket>, opened: bool) {
        let due = after(Instant::now(), connection.settings.pong);
        let mut said = false;
        if opened {
            self.letters.close();
        }
        loop {
            if !said && !connection.outgoing.is_busy() {
                let letter = if opened { self.letters.recv().await } else { None };
                match letter {
                    Some(letter) => connection.post(letter),
                    None => {
                        connection.goodbye();
                        said = true;
                    }
                }
                continue;
            }
            tokio::select! {
                biased;
                written = connection.outgoing.write(), if connection.outgoing.is_busy() => {
                    if written.is_err() {
                        return;
                    }
                }
                () = sleep_until(due) => return,
                frame = stream.next() => match frame {
                    Some(Ok(Frame::Text(text))) => {
                        if let Some(event) = connection.receive(&text) {
                            self.tell(event).await;
                        }
                    }
                    Some(Ok(Frame::Close(_)) | Err(_)) | None => return,
                    Some(Ok(_)) => {}
                },
            }
        }
    }
}

impl Connection {
    fn new(
        settings: Arc<Settings>,
        sink: SplitSink<Socket, Frame>,
        progress: Progress,
        credential: Option<&Credential>,
    ) -> Self {
        Self {
            renewal: Renewal::new(settings.clone(), credential),
            settings,
            outgoing: Outgoing::new(sink),
            progress,
            seen: 0,
            since: Instant::now(),
            asked: false,
            last_id: 0,
            waiting: HashMap::new(),
        }
    }

    fn goodbye(&mut self) {
        let code = u16::from(CloseCode::NORMAL).into();
        self.outgoing.push(Frame::Close(Some(CloseFrame { code, reason: "".into() })));
    }

    /// Sends a letter, unless it asks for a reply that nobody waits for any more.
    fn post(&mut self, Letter { message, reply }: Letter) {
        let id = match reply {
            Some(reply) if reply.is_closed() => return,
            Some(reply) => Some(self.await_answer(Waiting::Request(reply))),
            None => None,
        };
        self.outgoing.push(Frame::text(message.to_json(id.as_ref())));
        // A request is told by its error.
        self.outgoing.message = Some(message).filter(|_| id.is_none());
    }

    fn await_answer(&mut self, waiting: Waiting) -> MessageId {
        if self.waiting.len() >= UNSWEPT && self.waiting.len() == self.waiting.capacity() {
            self.waiting
                .retain(|_, waiting| !matches!(waiting, Waiting::Request(reply) if reply.is_closed()));
        }
        self.last_id += 1;
        self.waiting.insert(self.last_id, waiting);
        MessageId::Number(self.last_id)
    }

    /// What the application is to know of a text, if anything.
    fn receive(&mut self, text: &str) -> Option<Event> {
        let Some(push) = read(text) else { return Some(Event::Failed(ClientError::NotAPush)) };
        let waiting = match push.id {
            Some(MessageId::Number(id)) => self.waiting.remove(&id),
            _ => None,
        };
        match waiting {
            Some(Waiting::Request(reply)) => reply.send(push).err().map(Event::Push),
            Some(Waiting::Renewal(ends_at)) => {
                let refused = push.code != Code::DONE;
                if !refused {
                    self.renewal.renewed(ends_at);
                }
                self.renewal.plan();
                refused.then(|| Event::Failed(ClientError::Refused(push.code.as_str().to_owned())))
            }
            None if push.flag.as_ref().is_some_and(Flag::is_reserved) => None,
            None => Some(Event::Push(push)),
        }
    }

    fn heard(&mut self) {
        self.since = Instant::now();
        self.asked = false;
        self.seen = self.progress.count();
        self.outgoing.moved();
    }

    /// When the present silence, or a message that is not taken, becomes too long.
    fn look_at(&self) -> Instant {
        let Settings { heartbeat, pong, .. } = &*self.settings;
        let silence = match self.asked {
            true => *pong,
            false if heartbeat.is_zero() => Duration::MAX,
            false => *heartbeat,
        };
        let silent_at = after(self.since, silence);
        self.outgoing.stuck_since.map_or(silent_at, |since| after(since, *pong).min(silent_at))
    }

    /// Looks whether the server moves, be it in the middle of a message; if not, asks it for a sign of life, once.
    fn look(&mut self) -> Result<(), Broken> {
        let stuck = self.outgoing.stuck_since.is_some_and(|since| since.elapsed() >= self.settings.pong);
        if self.progress.count() != self.seen {
            self.heard();
            return Ok(());
        }
        if self.asked || stuck {
            return Err(Broken(ClientError::Timeout));
        }
        // One of WebSocket's own, which a server answers whatever its application does.
        self.outgoing.push(Frame::Ping(Bytes::new()));
        self.since = Instant::now();
        self.asked = true;
        Ok(())
    }

    /// Exchanges the credential for the one that was asked for.
    fn exchange(&mut self, fresh: Result<Option<Credential>, ClientError>) -> Result<(), ClientError> {
        let sent = fresh.map(|fresh| {
            if let Some(credential) = fresh {
                let id = self.await_answer(Waiting::Renewal(credential.end()));
                let message = Message::new(Flag::REFRESH, credential.text);
                self.outgoing.push(Frame::text(message.to_json(Some(&id))));
            }
        });
        // Without an answer, or without a credential, it is tried again while there is time.
        self.renewal.plan();
        sent
    }
}

/// A push of the server's. Its sender is true here: it is the server that says so.
fn read(text: &str) -> Option<Push> {
    #[derive(Deserialize)]
    struct Sent {
        /// Always there on the wire.
        #[serde(rename = "code")]
        _code: Code,
        #[serde(default)]
        sender: Option<String>,
    }
    let Sent { sender, .. } = serde_json::from_str(text).ok()?;
    let mut push: Push = serde_json::from_str(text).ok()?;
    push.sender = sender.and_then(|sender| Key::new(sender).ok());
    Some(push)
}

fn ended(frame: Option<CloseFrame>) -> Ended {
    let Some(CloseFrame { code, reason }) = frame else {
        return Ended { code: CloseCode::NO_STATUS, reason: String::new() };
    };
    // What tungstenite makes of a code that must not be sent, or that it does not know, such as 1014.
    if u16::from(code) == 1002 && reason.as_str() == "Protocol violation" {
        return Ended::lost();
    }
    match CloseCode::new(code.into()) {
        Some(code) => Ended { code, reason: reason.as_str().to_owned() },
        None => Ended::lost(),
    }
}
