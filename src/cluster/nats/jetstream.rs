//! What keywire uses of JetStream: streams, publishing with an acknowledgement, and getting messages without a consumer.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::NatsError;
use super::client::Client;
use super::headers::{Headers, HeadersOut};
use super::wire::Message;

/// A stream. It is created again if the server has lost it.
pub(super) struct Stream {
    client: Arc<Client>,
    name: String,
    config: Value,
    replicas: usize,
    /// The connection on which the stream was last seen to be there.
    ready: Mutex<u64>,
}

/// A message of a stream.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) seq: u64,
    pub(super) subject: String,
    pub(super) headers: Headers,
    pub(super) payload: Bytes,
    /// When the server stored it, by the server's clock, as in RFC 3339.
    pub(super) time: String,
}

/// Acknowledgement of a message.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Ack {
    pub(super) seq: u64,
    /// A message with the same id is in the stream, with this number.
    #[serde(default)]
    pub(super) duplicate: bool,
}

/// Only puts the message if the last one of its subject has this number, or if there is none and this is 0.
pub(super) const EXPECTED_LAST: &str = "Nats-Expected-Last-Subject-Sequence";

const DIRECT_GET: &str = "$JS.API.DIRECT.GET";

/// JetStream's own numbers of errors.
const STREAM_NOT_FOUND: u64 = 10059;
const STREAM_DIFFERS: u64 = 10058;
const WRONG_LAST: [u64; 2] = [10071, 10164];
const BEING_STORED: u64 = 10158;
const NOT_ENABLED: [u64; 2] = [10039, 10076];

impl NatsError {
    /// Another message of the subject came first.
    pub(super) fn is_wrong_last(&self) -> bool {
        matches!(self, Self::JetStream { code, .. } if WRONG_LAST.contains(code))
    }

    /// Another message with the same id is being stored now.
    pub(super) fn is_being_stored(&self) -> bool {
        matches!(self, Self::JetStream { code: BEING_STORED, .. })
    }

    fn is_stream_missing(&self) -> bool {
        matches!(self, Self::NoResponders(_) | Self::JetStream { code: STREAM_NOT_FOUND, .. })
    }
}

/// Checks that JetStream is there, for this account.
pub(super) async fn check(client: &Client) -> Result<(), NatsError> {
    match api(client, "INFO", &Value::Null).await {
        Err(NatsError::NoResponders(_)) => Err(NatsError::NoJetStream),
        Err(NatsError::JetStream { code, .. }) if NOT_ENABLED.contains(&code) => Err(NatsError::NoJetStream),
        other => other.map(drop),
    }
}

impl Stream {
    /// Creates the stream, or changes its settings to these.
    pub(super) async fn open(
        client: &Arc<Client>,
        name: String,
        settings: Value,
        replicas: usize,
    ) -> Result<Self, NatsError> {
        let mut config = settings;
        config["name"] = name.as_str().into();
        config["num_replicas"] = replicas.into();
        config["retention"] = "limits".into();
        config["discard"] = "old".into();
        config["allow_direct"] = true.into();
        let stream = Self { client: Arc::clone(client), name, config, replicas, ready: Mutex::new(0) };
        stream.ready().await?;
        Ok(stream)
    }

    /// Creates the stream if the server may have lost it: a server that comes back may be empty, and one before 2.11 does not answer
    /// if it is asked for a stream that it has not.
    async fn ready(&self) -> Result<(), NatsError> {
        let epoch = self.client.epoch();
        let mut ready = self.ready.lock().await;
        if *ready != epoch {
            let failed = |error| NatsError::Stream { name: self.name.clone(), source: Box::new(error) };
            self.ensure().await.map_err(failed)?;
            *ready = epoch;
        }
        Ok(())
    }

    async fn ensure(&self) -> Result<(), NatsError> {
        match self.call("CREATE", &self.config).await {
            Err(NatsError::JetStream { code: STREAM_DIFFERS, .. }) => {}
            other => return other.map(drop),
        }
        // Other settings are the operator's, and a stream cannot move.
        let found = self.call("INFO", &Value::Null).await?["config"].take();
        let mut config = found.clone();
        for (name, value) in
            self.config.as_object().into_iter().flatten().filter(|(name, _)| *name != "storage")
        {
            config[name] = value.clone();
        }
        if config == found { Ok(()) } else { self.call("UPDATE", &config).await.map(drop) }
    }

    /// Puts a message into the stream. The headers may demand what must hold.
    pub(super) async fn put(
        &self,
        subject: &str,
        headers: &HeadersOut,
        payload: &[&[u8]],
    ) -> Result<Ack, NatsError> {
        parse(&self.ask(subject, Some(headers), payload).await?.payload)
    }

    /// The last message of a subject, as the leader of the stream knows it.
    pub(super) async fn last(&self, subject: &str) -> Result<Option<Stored>, NatsError> {
        if self.replicas > 1 {
            return self.ask_leader(&json!({ "last_by_subj": subject })).await;
        }
        one(self.ask(&format!("{DIRECT_GET}.{}.{subject}", self.name), None, &[]).await?)
    }

    /// The message with this number.
    pub(super) async fn get(&self, seq: u64) -> Result<Option<Stored>, NatsError> {
        let request = json!({ "seq": seq }).to_string();
        let direct = format!("{DIRECT_GET}.{}", self.name);
        let found = one(self.ask(&direct, None, &[request.as_bytes()]).await?)?;
        // A replica may be behind.
        if found.is_none() && self.replicas > 1 {
            return self.ask_leader(&json!({ "seq": seq })).await;
        }
        Ok(found)
    }

    /// Messages of a subject, which may have wildcards, from this number on. Not all of them, but at least one if there is one. A
    /// server before 2.11 returns one.
    pub(super) async fn from(
        &self,
        subject: &str,
        seq: u64,
        count: usize,
        bytes: usize,
    ) -> Result<Vec<Stored>, NatsError> {
        let direct = format!("{DIRECT_GET}.{}", self.name);
        let mut request = json!({ "seq": seq.max(1), "next_by_subj": subject, "batch": count });
        request["max_bytes"] = bytes.into();
        let request = request.to_string();
        let answers = self.ask_for_batch(&direct, request.as_bytes()).await?;
        let found: Vec<_> =
            answers.into_iter().filter_map(|answer| one(answer).transpose()).collect::<Result<_, _>>()?;
        if found.is_empty() && self.replicas > 1 {
            let next = self.ask_leader(&json!({ "seq": seq.max(1), "next_by_subj": subject })).await?;
            return Ok(next.into_iter().collect());
        }
        Ok(found)
    }

    /// Removes the messages of a subject, all or those before a number.
    pub(super) async fn purge(&self, subject: &str, before: Option<u64>) -> Result<(), NatsError> {
        let mut request = json!({ "filter": subject });
        if let Some(before) = before {
            request["seq"] = before.into();
        }
        self.call_again("PURGE", &request).await.map(drop)
    }

    /// Removes this one message. No effect if a later one has replaced it.
    pub(super) async fn delete(&self, seq: u64) -> Result<(), NatsError> {
        const NO_SUCH: u64 = 10057;
        match self.call("MSG.DELETE", &json!({ "seq": seq, "no_erase": true })).await {
            Ok(_) | Err(NatsError::JetStream { code: NO_SUCH, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn info(&self) -> Result<Value, NatsError> {
        self.call_again("INFO", &Value::Null).await
    }

    async fn ask_leader(&self, request: &Value) -> Result<Option<Stored>, NatsError> {
        const NO_MESSAGE: u64 = 10037;
        match self.call_again("MSG.GET", request).await {
            Err(NatsError::JetStream { code: NO_MESSAGE, .. }) => Ok(None),
            Err(error) => Err(error),
            Ok(mut answer) => {
                let leaders: Leaders = serde_json::from_value(answer["message"].take())
                    .map_err(|_| NatsError::Protocol("a message of a stream cannot be read"))?;
                leaders.stored().map(Some)
            }
        }
    }

    async fn call(&self, what: &str, request: &Value) -> Result<Value, NatsError> {
        api(&self.client, &format!("STREAM.{what}.{}", self.name), request).await
    }

    async fn call_again(&self, what: &str, request: &Value) -> Result<Value, NatsError> {
        self.ready().await?;
        match self.call(what, request).await {
            Err(error) => {
                self.repair(error).await?;
                self.call(what, request).await
            }
            answer => answer,
        }
    }

    async fn ask(
        &self,
        subject: &str,
        headers: Option<&HeadersOut>,
        payload: &[&[u8]],
    ) -> Result<Message, NatsError> {
        self.ready().await?;
        match self.client.request(subject, headers, payload).await {
            Err(error) => {
                self.repair(error).await?;
                self.client.request(subject, headers, payload).await
            }
            answer => answer,
        }
    }

    async fn ask_for_batch(&self, subject: &str, payload: &[u8]) -> Result<Vec<Message>, NatsError> {
        self.ready().await?;
        match self.client.request_batch(subject, payload).await {
            Err(error) => {
                self.repair(error).await?;
                self.client.request_batch(subject, payload).await
            }
            answers => answers,
        }
    }

    /// Creates the stream if that it is missing was the reason of the error, so that the request can be made again.
    async fn repair(&self, error: NatsError) -> Result<(), NatsError> {
        let is_silent = matches!(error, NatsError::NoAnswer);
        if !is_silent && !error.is_stream_missing() {
            return Err(error);
        }
        *self.ready.lock().await = 0;
        if is_silent {
            // The next call looks whether the stream is there.
            return Err(error);
        }
        tracing::warn!(stream = self.name, "the server has lost a stream; it is created again");
        self.ready().await
    }
}

/// A message as the leader returns it.
#[derive(Deserialize)]
struct Leaders {
    subject: String,
    seq: u64,
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
    #[serde(default)]
    time: String,
}

impl Leaders {
    fn stored(self) -> Result<Stored, NatsError> {
        let decode = |text: &str| {
            let decoded = STANDARD.decode(text);
            decoded.map(Bytes::from).map_err(|_| NatsError::Protocol("a message is not base64"))
        };
        let (headers, payload) = (Headers::from_wire(decode(&self.hdrs)?), decode(&self.data)?);
        Ok(Stored { seq: self.seq, subject: self.subject, headers, payload, time: self.time })
    }
}

/// The message in the answer to a direct get. `None` if there is none, or if it only ends a batch.
fn one(message: Message) -> Result<Option<Stored>, NatsError> {
    match message.headers.status() {
        None => {}
        Some(204 | 404) => return Ok(None),
        Some(_) => return Err(NatsError::Protocol("a direct get is refused")),
    }
    let (Some(seq), Some(subject)) =
        (message.headers.number("Nats-Sequence"), message.headers.get("Nats-Subject"))
    else {
        return Err(NatsError::Protocol("a message of a stream has no number"));
    };
    let (subject, time) =
        (subject.to_owned(), message.headers.get("Nats-Time-Stamp").unwrap_or_default().to_owned());
    Ok(Some(Stored { seq, subject, time, headers: message.headers, payload: message.payload }))
}

async fn api(client: &Client, what: &str, request: &Value) -> Result<Value, NatsError> {
    let payload = if request.is_null() { String::new() } else { request.to_string() };
    let answer = client.request(&format!("$JS.API.{what}"), None, &[payload.as_bytes()]).await?;
    parse(&answer.payload)
}

fn parse<T: for<'de> Deserialize<'de>>(payload: &[u8]) -> Result<T, NatsError> {
    #[derive(Deserialize)]
    struct Failure {
        error: Option<ApiError>,
    }
    #[derive(Deserialize)]
    struct ApiError {
        #[serde(default)]
        err_code: u64,
        #[serde(default)]
        description: String,
    }
    const UNREADABLE: NatsError = NatsError::Protocol("an answer of JetStream cannot be read");
    let failure: Failure = serde_json::from_slice(payload).map_err(|_| UNREADABLE)?;
    if let Some(ApiError { err_code: code, description }) = failure.error {
        return Err(NatsError::JetStream { code, description });
    }
    serde_json::from_slice(payload).map_err(|_| UNREADABLE)
}

/// A duration as JetStream wants it.
pub(super) fn nanos(duration: Duration) -> u64 {
    // It refuses less than 100 ms.
    let nanos = duration.max(Duration::from_millis(100)).as_nanos();
    u64::try_from(nanos).map_or(i64::MAX as u64, |nanos| nanos.min(i64::MAX as u64))
}
