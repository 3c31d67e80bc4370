//! One connection, from the upgrade to its end.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use futures_util::future::{BoxFuture, Fuse};
use futures_util::stream::SplitSink;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use serde::Deserialize;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::builder::Settings;
use super::dial::Socket;
use super::life::{Ended, Life};
use super::{ClientError, Credential, Event, Letter, Message};
use crate::key::Key;
use crate::message::{Code, Flag, MessageId, Push};
use crate::moment::after;
use crate::websocket::CloseCode;

/// What is known of one connection.
struct Connection {
    settings: Arc<Settings>,
    sink: SplitSink<Socket, Frame>,
    /// When the server was last heard of, or asked for a sign of life since.
    since: Instant,
    asked: bool,
    last_id: i64,
    /// Who waits for an answer.
    waiting: HashMap<i64, Waiting>,
    /// When the present credential ends, as far as is known.
    expires_at: Option<SystemTime>,
    /// When it is to be exchanged.
    renew_at: Option<Instant>,
    /// The fresh one that has been asked for.
    fresh: Fuse<BoxFuture<'static, Result<Option<Credential>, ClientError>>>,
}

enum Waiting {
    Request(oneshot::Sender<Push>),
    /// The credential that was sent ends then.
    Renewal(Option<SystemTime>),
}

/// A connection that takes nothing more, or from which nothing more comes.
struct Broken(ClientError);

/// So many who wait are kept without a look whether they still do.
const UNSWEPT: usize = 64;

impl Life {
    /// Talks until it ends. A server may open only to refuse, so its first word says that it let us in, and that has
    /// to come before `due`.
    pub(super) async fn converse(
        &mut self,
        socket: Socket,
        credential: Option<Credential>,
        due: Instant,
        opened_at: &mut Option<Instant>,
    ) -> Ended {
        let (sink, mut stream) = socket.split();
        let mut connection = Connection::new(self.settings.clone(), sink, credential);
        let Err(Broken(error)) = connection.send(PING.into()).await else {
            return self.listen(&mut connection, &mut stream, due, opened_at).await;
        };
        self.tell(Event::Failed(error)).await;
        Ended::lost()
    }

    async fn listen(
        &mut self,
        connection: &mut Connection,
        stream: &mut futures_util::stream::SplitStream<Socket>,
        due: Instant,
        opened_at: &mut Option<Instant>,
    ) -> Ended {
        let mut posted = true;
        loop {
            let silent_at = if opened_at.is_some() { connection.silent_at() } else { due };
            let renew_at = connection.renew_at.unwrap_or(due);
            let done = tokio::select! {
                () = self.interest.over() => {
                    connection.goodbye(CloseCode::NORMAL).await;
                    return Ended::closed();
                }
                frame = stream.next() => match frame {
                    Some(Ok(Frame::Text(text))) => {
                        connection.heard();
                        if opened_at.is_none() {
                            *opened_at = Some(Instant::now());
                            self.tell(Event::Open).await;
                        }
                        if let Some(event) = connection.receive(&text) {
                            self.tell(event).await;
                        }
                        Ok(())
                    }
                    Some(Ok(Frame::Close(frame))) => {
                        // The answer to it.
                        let _ = timeout(connection.settings.pong, connection.sink.close()).await;
                        return ended(frame);
                    }
                    Some(Ok(_)) => {
                        connection.heard();
                        Ok(())
                    }
                    Some(Err(error)) => Err(Broken(ClientError::Connection(Box::new(error)))),
                    None => return Ended::lost(),
                },
                letter = self.letters.recv(), if opened_at.is_some() && posted => match letter {
                    Some(letter) => connection.post(letter).await,
                    // There is no handle any more, but somebody listens.
                    None => {
                        posted = false;
                        Ok(())
                    }
                },
                () = sleep_until(silent_at) => {
                    if connection.asked || opened_at.is_none() {
                        Err(Broken(ClientError::Timeout))
                    } else {
                        connection.ask().await
                    }
                }
                () = sleep_until(renew_at), if connection.renew_at.is_some() && opened_at.is_some() => {
                    connection.ask_for_fresh();
                    Ok(())
                }
                fresh = &mut connection.fresh => match connection.exchange(fresh).await {
                    Ok(None) => Ok(()),
                    Ok(Some(error)) => {
                        self.tell(Event::Failed(error)).await;
                        Ok(())
                    }
                    Err(broken) => Err(broken),
                },
            };
            if let Err(Broken(error)) = done {
                self.tell(Event::Failed(error)).await;
                return Ended::lost();
            }
        }
    }
}

const PING: &str = r#"{"flag":"kw:ping"}"#;

impl Connection {
    fn new(settings: Arc<Settings>, sink: SplitSink<Socket, Frame>, credential: Option<Credential>) -> Self {
        let expires_at = credential.and_then(|credential| credential.expires_at);
        let expires_at = expires_at.filter(|_| settings.supply.is_renewable());
        let mut connection = Self {
            settings,
            sink,
            since: Instant::now(),
            asked: false,
            last_id: 0,
            waiting: HashMap::new(),
            expires_at,
            renew_at: None,
            fresh: Fuse::terminated(),
        };
        connection.plan_renewal();
        connection
    }

    async fn send(&mut self, text: String) -> Result<(), Broken> {
        match timeout(self.settings.pong, self.sink.send(Frame::text(text))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Broken(ClientError::Connection(Box::new(error)))),
            Err(_) => Err(Broken(ClientError::Timeout)),
        }
    }

    async fn goodbye(&mut self, code: CloseCode) {
        let code = u16::from(code).into();
        let frame = Frame::Close(Some(CloseFrame { code, reason: "".into() }));
        let _ = timeout(self.settings.pong, self.sink.send(frame)).await;
    }

    /// Sends a letter, unless it asks for a reply that nobody waits for any more.
    async fn post(&mut self, Letter { message, reply }: Letter) -> Result<(), Broken> {
        let id = match reply {
            Some(reply) if reply.is_closed() => return Ok(()),
            Some(reply) => Some(self.await_answer(Waiting::Request(reply))),
            None => None,
        };
        self.send(message.to_json(id.as_ref())).await
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
            Some(Waiting::Renewal(expires_at)) => {
                let refused = push.code != Code::DONE;
                if !refused {
                    self.expires_at = expires_at;
                }
                self.plan_renewal();
                refused.then(|| Event::Failed(ClientError::Refused(push.code.as_str().to_owned())))
            }
            None if push.flag.as_ref().is_some_and(Flag::is_reserved) => None,
            None => Some(Event::Push(push)),
        }
    }

    fn heard(&mut self) {
        self.since = Instant::now();
        self.asked = false;
    }

    /// When the present silence becomes too long.
    fn silent_at(&self) -> Instant {
        let Settings { heartbeat, pong, .. } = &*self.settings;
        after(self.since, if self.asked { *pong } else { *heartbeat })
    }

    /// Asks for a sign of life.
    async fn ask(&mut self) -> Result<(), Broken> {
        self.send(PING.to_owned()).await?;
        self.since = Instant::now();
        self.asked = true;
        Ok(())
    }

    /// In time before the credential's end, but not if that is unknown, nor if it seems to be over: then it is this clock
    /// that is wrong.
    fn plan_renewal(&mut self) {
        let left = self.expires_at.and_then(|moment| moment.duration_since(SystemTime::now()).ok());
        self.renew_at = left.filter(|left| left.as_secs() >= 1).map(|left| {
            after(Instant::now(), left.saturating_sub(self.settings.renew).max(left.mul_f64(0.75)))
        });
    }

    fn ask_for_fresh(&mut self) {
        self.renew_at = None;
        let settings = self.settings.clone();
        self.fresh = async move { settings.supply.ask().await }.boxed().fuse();
    }

    /// Exchanges the credential for the one that was asked for. What is wrong with that is no reason to end.
    async fn exchange(
        &mut self,
        fresh: Result<Option<Credential>, ClientError>,
    ) -> Result<Option<ClientError>, Broken> {
        match fresh {
            Ok(Some(Credential { text, expires_at })) => {
                let id = self.await_answer(Waiting::Renewal(expires_at));
                self.send(Message::new(Flag::REFRESH, text).to_json(Some(&id))).await?;
                Ok(None)
            }
            Ok(None) => Ok(None),
            Err(error) => {
                self.plan_renewal();
                Ok(Some(error))
            }
        }
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
    match frame {
        Some(CloseFrame { code, reason }) => {
            let code = CloseCode::new(code.into()).unwrap_or(CloseCode::NO_STATUS);
            Ended { code, reason: reason.as_str().to_owned() }
        }
        None => Ended { code: CloseCode::NO_STATUS, reason: String::new() },
    }
}
