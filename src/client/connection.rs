//! One connection from the upgrade to its end.

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

use super::answering::Answering;
use super::dial::Socket;
use super::ended::Ended;
use super::following::Following;
use super::progress::Progress;
use super::renewal::Renewal;
use super::settings::Settings;
use super::state::State;
use super::writer::Writer;
use super::{ClientError, Credential, Event, Message, Outgoing};
use crate::deadline::after;
use crate::group::Group;
use crate::key::Key;
use crate::message::{Code, Flag, MessageId, Push};
use crate::websocket::CloseCode;

/// Runs a connection to its end. The server's first message opens the connection, and must come before `due`. A client that begins at
/// the end of the log waits for the message that tells it: open means that nothing kept from now on is missed.
pub(super) async fn converse(
    state: &mut State,
    settings: Arc<Settings>,
    (socket, progress): (Socket, Progress),
    credential: Option<&Credential>,
    due: Instant,
    opened_at: &mut Option<Instant>,
) -> Ended {
    let (sink, mut stream) = socket.split();
    let mut conversation = Conversation::new(settings, sink, progress, credential);
    conversation.writer.push(Frame::text(PING));
    let ended = conversation.listen(state, &mut stream, due, opened_at).await;
    state.unsent.extend(conversation.writer.message);
    ended
}

/// State of the exchange between the client and the server over one connection.
struct Conversation {
    settings: Arc<Settings>,
    writer: Writer,
    /// Signs of life of the server, and their count at the last check.
    progress: Progress,
    seen: u64,
    /// The last sign of life of the server, or the last ping after it.
    since: Instant,
    asked: bool,
    last_id: i64,
    /// Requests and renewals that wait for a reply.
    waiting: HashMap<i64, Waiting>,
    answering: Answering,
    renewal: Renewal,
}

enum Waiting {
    Request(oneshot::Sender<Push>),
    /// Contains the expiry of the new credential.
    Renewal(Option<Instant>),
}

/// A connection that failed.
struct Broken(ClientError);

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self(ClientError::Connection(Box::new(error)))
    }
}

/// Number of waiting requests up to which dropped requests are not removed.
const UNSWEPT: usize = 64;

/// Time in which the log tells its end before the connection counts as open without it.
const PLACE: Duration = Duration::from_secs(1);

/// Asks the server for a first message, since the server may accept a connection in order to refuse it by a close code.
const PING: &str = r#"{"flag":"kw:ping"}"#;

impl Conversation {
    fn new(
        settings: Arc<Settings>,
        sink: SplitSink<Socket, Frame>,
        progress: Progress,
        credential: Option<&Credential>,
    ) -> Self {
        Self {
            renewal: Renewal::new(settings.clone(), credential),
            settings,
            writer: Writer::new(sink),
            progress,
            seen: 0,
            since: Instant::now(),
            asked: false,
            last_id: 0,
            waiting: HashMap::new(),
            answering: Answering::default(),
        }
    }

    async fn listen(
        &mut self,
        state: &mut State,
        stream: &mut SplitStream<Socket>,
        due: Instant,
        opened_at: &mut Option<Instant>,
    ) -> Ended {
        let mut has_handles = true;
        let mut place_due = None;
        loop {
            let look_at = if opened_at.is_some() { self.look_at() } else { place_due.unwrap_or(due) };
            let renew_at = self.renewal.due.unwrap_or(due);
            let done = tokio::select! {
                () = state.shutdown.begun() => {
                    self.depart(state, stream, opened_at.is_some()).await;
                    return Ended::closed();
                }
                frame = stream.next() => match frame {
                    Some(Ok(Frame::Text(text))) => {
                        if opened_at.is_none() && state.following.as_ref().is_some_and(|following| following.seeks(&text)) {
                            place_due.get_or_insert_with(|| after(Instant::now(), PLACE).min(due));
                        } else if opened_at.is_none() {
                            open(state, opened_at).await;
                        }
                        self.take(state, &text).await;
                        Ok(())
                    }
                    Some(Ok(Frame::Close(frame))) => {
                        let _ = timeout(self.settings.pong, self.writer.close()).await;
                        return ended(frame);
                    }
                    Some(Ok(_)) => {
                        self.heard();
                        Ok(())
                    }
                    Some(Err(error)) => Err(error.into()),
                    None => return Ended::lost(),
                },
                written = self.writer.write(), if self.writer.is_busy() => {
                    written.map_err(Broken::from)
                }
                message = state.outgoing.recv(), if opened_at.is_some() && has_handles && !self.writer.is_busy() => {
                    match message {
                        Some(message) => self.post(message),
                        // All handles are dropped, but not the events.
                        None => has_handles = false,
                    }
                    Ok(())
                }
                Some(answer) = self.answering.next(), if !self.answering.is_idle() && !self.writer.is_busy() => {
                    self.writer.push(Frame::text(answer));
                    Ok(())
                }
                () = sleep_until(look_at) => match opened_at {
                    Some(_) => self.look(),
                    None if place_due.is_some() => {
                        open(state, opened_at).await;
                        Ok(())
                    }
                    None => Err(Broken(ClientError::Timeout)),
                },
                () = sleep_until(renew_at), if self.renewal.due.is_some() && opened_at.is_some() => {
                    self.renewal.ask();
                    Ok(())
                }
                fresh = &mut self.renewal.fresh => {
                    if let Err(error) = self.exchange(fresh) {
                        state.tell(Event::Failed(error)).await;
                    }
                    Ok(())
                }
            };
            if let Err(Broken(error)) = done {
                state.tell(Event::Failed(error)).await;
                return Ended::lost();
            }
        }
    }

    /// Handles a message, and reports the event if it is one.
    async fn take(&mut self, state: &mut State, text: &str) {
        if let Some(event) = self.receive(text, state.following.as_mut()) {
            state.tell(event).await;
        }
        // The time in which the application made room for the event does not count as silence.
        self.heard();
    }

    /// Sends the queue and a close frame, and reads until the server's close frame: closing with unread bytes resets the
    /// connection, and sent messages may be lost.
    async fn depart(&mut self, state: &mut State, stream: &mut SplitStream<Socket>, opened: bool) {
        let due = after(Instant::now(), self.settings.pong);
        let mut said = false;
        if opened {
            state.outgoing.close();
        }
        loop {
            if !said && !self.writer.is_busy() {
                let message = if opened { state.outgoing.recv().await } else { None };
                match message {
                    Some(message) => self.post(message),
                    None => {
                        self.goodbye();
                        said = true;
                    }
                }
                continue;
            }
            tokio::select! {
                biased;
                written = self.writer.write(), if self.writer.is_busy() => {
                    if written.is_err() {
                        return;
                    }
                }
                () = sleep_until(due) => return,
                frame = stream.next() => match frame {
                    Some(Ok(Frame::Text(text))) => self.take(state, &text).await,
                    Some(Ok(Frame::Close(_)) | Err(_)) | None => return,
                    Some(Ok(_)) => {}
                },
            }
        }
    }

    fn goodbye(&mut self) {
        let code = u16::from(CloseCode::NORMAL).into();
        self.writer.push(Frame::Close(Some(CloseFrame { code, reason: "".into() })));
    }

    /// Sends a message, unless it is a request whose future was dropped.
    fn post(&mut self, Outgoing { message, reply }: Outgoing) {
        let id = match reply {
            Some(reply) if reply.is_closed() => return,
            Some(reply) => Some(self.await_answer(Waiting::Request(reply))),
            None => None,
        };
        self.writer.push(Frame::text(message.to_json(id.as_ref())));
        // The error of a request reports it.
        self.writer.message = Some(message).filter(|_| id.is_none());
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

    /// Handles a text message. `None`: the message is not an event. It answers a request or a renewal, or is keywire's own.
    fn receive(&mut self, text: &str, following: Option<&mut Following>) -> Option<Event> {
        let Some((push, is_request)) = read(text) else { return Some(Event::Failed(ClientError::NotAPush)) };
        if is_request {
            let answer = self.answering.begin(&self.settings.answerers, push);
            answer.into_iter().for_each(|answer| self.writer.push(Frame::text(answer)));
            return None;
        }
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
            None if push.flag.as_ref().is_some_and(Flag::is_reserved) => following?.hear(&push),
            None => match following {
                Some(following) => following.place(text, push),
                None => Some(Event::Push(push)),
            },
        }
    }

    fn heard(&mut self) {
        self.since = Instant::now();
        self.asked = false;
        self.seen = self.progress.count();
        self.writer.moved();
    }

    /// The time at which the current silence, or the wait for the socket, becomes too long.
    fn look_at(&self) -> Instant {
        let Settings { heartbeat, pong, .. } = &*self.settings;
        let silence = match self.asked {
            true => *pong,
            false if heartbeat.is_zero() => Duration::MAX,
            false => *heartbeat,
        };
        let silent_at = after(self.since, silence);
        self.writer.stuck_since.map_or(silent_at, |since| after(since, *pong).min(silent_at))
    }

    /// Checks for progress of the server, even in the middle of a message. Pings once if there is none.
    fn look(&mut self) -> Result<(), Broken> {
        let stuck = self.writer.stuck_since.is_some_and(|since| since.elapsed() >= self.settings.pong);
        if self.progress.count() != self.seen {
            self.heard();
            return Ok(());
        }
        if self.asked || stuck {
            return Err(Broken(ClientError::Timeout));
        }
        // A server answers a WebSocket ping even while its application is busy.
        self.writer.push(Frame::Ping(Bytes::new()));
        self.since = Instant::now();
        self.asked = true;
        Ok(())
    }

    /// Sends a new credential to exchange the current one.
    fn exchange(&mut self, fresh: Result<Option<Credential>, ClientError>) -> Result<(), ClientError> {
        let sent = fresh.map(|fresh| {
            if let Some(credential) = fresh {
                let id = self.await_answer(Waiting::Renewal(credential.end()));
                let message = Message::new(Flag::REFRESH, credential.text);
                self.writer.push(Frame::text(message.to_json(Some(&id))));
            }
        });
        // If there is no credential or no reply, the client tries again before the credential expires.
        self.renewal.plan();
        sent
    }
}

async fn open(state: &mut State, opened_at: &mut Option<Instant>) {
    *opened_at = Some(Instant::now());
    state.tell(Event::Open).await;
}

/// Parses a push of the server, with its sender and group, and whether it is a request.
fn read(text: &str) -> Option<(Push, bool)> {
    #[derive(Deserialize)]
    struct Sent {
        /// Always present on the wire.
        #[serde(rename = "code")]
        _code: Code,
        #[serde(default)]
        sender: Option<String>,
        #[serde(default)]
        group: Option<String>,
        #[serde(default)]
        ask: bool,
    }
    let Sent { sender, group, ask, .. } = serde_json::from_str(text).ok()?;
    let mut push: Push = serde_json::from_str(text).ok()?;
    push.sender = sender.and_then(|sender| Key::new(sender).ok());
    push.group = group.and_then(|group| Group::new(group).ok());
    Some((push, ask))
}

fn ended(frame: Option<CloseFrame>) -> Ended {
    let Some(CloseFrame { code, reason }) = frame else {
        return Ended { code: CloseCode::NO_STATUS, reason: String::new() };
    };
    // tungstenite reports this for codes that must not be sent, and for codes that it does not know, for example 1014.
    if u16::from(code) == 1002 && reason.as_str() == "Protocol violation" {
        return Ended::lost();
    }
    match CloseCode::new(code.into()) {
        Some(code) => Ended { code, reason: reason.as_str().to_owned() },
        None => Ended::lost(),
    }
}
