//! What each route does.

use std::collections::HashMap;
use std::net::SocketAddr;

use http::request::Parts;
use http::{Response, StatusCode};
use http_body::Body;
use serde::Serialize;
use serde_json::value::RawValue;

use super::answer::{Failure, json, written};
use super::fields::Fields;
use super::posted::Posted;
use super::query::{self, CloseQuery};
use super::route::Route;
use super::{OPENAPI, PushApi, body};
use crate::cluster::Health;
use crate::delivery::{Delivery, Kept, Message, NodeId, Recipients, SessionId};
use crate::group::Group;
use crate::hub::Hub;
use crate::key::Key;
use crate::presence::{ClusterCounts, NodeSessions};
use crate::session::Session;
use crate::store::Counts;

type Answer = Result<Response<String>, Failure>;

impl Route {
    pub(super) async fn run<B: Body>(self, api: &PushApi, parts: &Parts, body: B) -> Answer {
        let hub = &api.hub;
        let query = parts.uri.query();
        // Read where it is awaited.
        let posted = async {
            query::none(query)?;
            body::read(&parts.headers, body, api.body_bytes).await
        };
        match self {
            Self::Push(key) => {
                let message = to_keys(hub, Posted::read(&posted.await?, "")?)?;
                Ok(delivered(hub.send(&Recipients::key(key), message).await))
            }
            Self::PushToEach => push_to_each(api, &posted.await?).await,
            Self::Broadcast => {
                let message = Posted::read_live(&posted.await?)?.into_message();
                Ok(delivered(hub.broadcast(message).await))
            }
            Self::PushToGroup(group) => {
                let message = Posted::read_live(&posted.await?)?.into_message();
                Ok(delivered(hub.send(&Recipients::group(group), message).await))
            }
            Self::Disconnect(key) => disconnect(hub, key, CloseQuery::read(query)?).await,
            Self::Sessions(key) => {
                query::none(query)?;
                sessions(hub, key).await
            }
            Self::Presence(key) => {
                query::none(query)?;
                presence(hub, key).await
            }
            Self::Stats => {
                query::none(query)?;
                stats(hub).await
            }
            Self::OpenApi => {
                query::none(query)?;
                let keys = format!(r#""maxItems": {}"#, api.keys);
                Ok(written(StatusCode::OK, OPENAPI.replace(r#""maxItems": 1000"#, &keys)))
            }
        }
    }
}

/// The message of a push to keys. Without a log nothing is sent: the caller would rely on it.
fn to_keys(hub: &Hub, posted: Posted) -> Result<Message, Failure> {
    match posted.is_kept() && hub.log().is_none() {
        true => Err(Failure::unavailable("kept: this server has no log, so nothing was sent")),
        false => Ok(posted.into_message()),
    }
}

async fn push_to_each(api: &PushApi, body: &str) -> Answer {
    let fields = Fields::read(body, "", &["keys", "push"])?;
    let keys = keys(&fields, api.keys)?;
    let message = to_keys(&api.hub, Posted::read(fields.required("push")?, "push.")?)?;

    // A key that is there twice gets the push once.
    let (mut places, mut distinct) = (HashMap::new(), Vec::new());
    for key in &keys {
        places.entry(&**key).or_insert_with(|| {
            distinct.push(&**key);
            distinct.len() - 1
        });
    }
    let sent = api.hub.send_to_each(distinct, message).await;
    let deliveries: Vec<Delivery> = keys.iter().map(|key| sent[places[&**key]]).collect();

    #[derive(Serialize)]
    struct Deliveries {
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'static str>,
        deliveries: Vec<Delivery>,
    }
    let error = deliveries.iter().find_map(failure);
    Ok(json(status(error), &Deliveries { error, deliveries }))
}

fn keys(fields: &Fields<'_>, most: usize) -> Result<Vec<String>, Failure> {
    let list = serde_json::from_str::<Vec<&RawValue>>(fields.required("keys")?);
    let list = list.map_err(|_| fields.bad("keys", "must be an array"))?;
    if list.len() > most {
        return Err(fields.bad("keys", format_args!("must be at most {most}")));
    }
    let key = |(index, json): (usize, &&RawValue)| {
        serde_json::from_str(json.get())
            .map_err(|_| Failure::bad(format_args!("keys[{index}]"), "must be a string"))
    };
    list.iter().enumerate().map(key).collect()
}

async fn disconnect(hub: &Hub, key: Key, close: CloseQuery) -> Answer {
    Ok(delivered(hub.close_sessions(&Recipients::key(key), close.code, close.reason).await))
}

fn delivered(delivery: Delivery) -> Response<String> {
    #[derive(Serialize)]
    struct Failed {
        error: &'static str,
        delivery: Delivery,
    }
    match failure(&delivery) {
        None => json(StatusCode::OK, &delivery),
        Some(error) => json(status(Some(error)), &Failed { error, delivery }),
    }
}

/// Why the push did not get to where it should.
fn failure(delivery: &Delivery) -> Option<&'static str> {
    match delivery.kept {
        Kept::Failed => {
            Some("the push is not kept, since the log failed or has no room for it; no session got it")
        }
        Kept::Unknown => {
            Some("the log gave no answer in time, so the push may be kept; repeat it with the same `once`")
        }
        _ if delivery.incomplete => Some("the store of sessions failed; some of them may have got it"),
        _ => None,
    }
}

fn status(error: Option<&str>) -> StatusCode {
    if error.is_some() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
}

async fn sessions(hub: &Hub, key: Key) -> Answer {
    #[derive(Serialize)]
    struct Sessions {
        node: NodeId,
        sessions: Vec<Shown>,
    }
    #[derive(Serialize)]
    struct Shown {
        id: SessionId,
        peer: Option<SocketAddr>,
        groups: Vec<Group>,
    }
    let show = |session: &Session| Shown { id: session.id(), peer: session.peer(), groups: session.groups() };
    let sessions = hub.sessions_of(&Recipients::key(key)).await.map_err(|_| store_failed())?;
    Ok(json(StatusCode::OK, &Sessions { node: hub.node(), sessions: sessions.iter().map(show).collect() }))
}

async fn presence(hub: &Hub, key: Key) -> Answer {
    #[derive(Serialize)]
    struct Present {
        online: bool,
        nodes: Vec<NodeSessions>,
    }
    let nodes = hub.presence(key).await.map_err(|error| Failure::unavailable(error.to_string()))?;
    Ok(json(StatusCode::OK, &Present { online: !nodes.is_empty(), nodes }))
}

async fn stats(hub: &Hub) -> Answer {
    #[derive(Serialize)]
    struct Stats {
        node: NodeId,
        here: Counts,
        cluster: Option<ClusterCounts>,
        health: Health,
    }
    let here = hub.ask_counts().await.map_err(|_| store_failed())?;
    let cluster = match hub.has_presence() {
        true => Some(hub.cluster_counts().await.map_err(|error| Failure::unavailable(error.to_string()))?),
        false => None,
    };
    Ok(json(StatusCode::OK, &Stats { node: hub.node(), here, cluster, health: hub.health() }))
}

fn store_failed() -> Failure {
    Failure::unavailable("the store of sessions failed")
}
