//! Groups over real sockets, and in stores that know nothing of them.
#![cfg(feature = "warp")]

mod support;

use std::sync::Arc;

use keywire::auth::RawKey;
use keywire::limits::SessionPolicy;
use keywire::log::{Kept, MemoryLog};
use keywire::message::{Code, Frame};
use keywire::session::{CloseCode, Closed, Group, JoinError, Joined};
use keywire::store::{Counts, Inserted, MemoryStore, Order, Recipients, Removed, StoreError};
use keywire::{
    Config, Delivery, Envelope, HandlerResult, Hub, HubBuilder, Identity, Key, Push, Reply, Session,
    SessionStore, Switch, async_trait,
};
use serde_json::json;
use support::{Server, until};

async fn enter(session: Session, room: String) -> HandlerResult {
    match session.join(room).await {
        Ok(Joined { joined, .. }) => Ok(Reply::data(joined)),
        Err(error @ JoinError::Invalid(_)) => Ok(Reply::error(Code::MALFORMED, error.to_string())),
        Err(error) => Ok(Reply::error(Code::FORBIDDEN, error.to_string())),
    }
}

async fn exit(session: Session, room: String) -> HandlerResult {
    Ok(Reply::data(session.leave(room).await.left))
}

async fn say(session: Session, (room, text): (Group, String)) -> HandlerResult {
    let push = Push::message(text).with_sender(session.key());
    let others = Recipients::group(room).except(&session);
    Ok(Reply::data(session.hub().send(&others, push).await.delivered))
}

async fn closed(session: Session, _: Closed) {
    assert!(matches!(session.join("late").await, Err(JoinError::Ended)));
    for room in session.groups() {
        session.hub().send_to_group(room, Push::message("gone").with_sender(session.key())).await;
    }
}

fn rooms() -> HubBuilder {
    let switch = Switch::new().on("enter", enter).on("exit", exit).on("say", say).closed(closed);
    Hub::builder(RawKey::from_path()).handler(switch)
}

async fn members(hub: &Hub, room: &str, expected: usize) {
    until("the members", async || match hub.members(room).await {
        members if members == expected => Ok(()),
        members => Err(format!("{members} members")),
    })
    .await;
}

#[tokio::test]
async fn a_room_from_the_first_member_to_the_last() {
    let server = Server::start(rooms().build()).await;
    let hub = &server.hub;
    let (mut alice, mut bob, mut eve) =
        (server.client("alice").await, server.client("bob").await, server.client("eve").await);
    assert!(hub.send_to_group("room-7", Push::message("nobody")).await.is_absent());
    for client in [&mut alice, &mut bob] {
        let entered = client.ask(json!({ "flag": "enter", "body": "room-7" })).await;
        assert_eq!(entered["data"], true);
    }
    let again = alice.ask(json!({ "flag": "enter", "body": "room-7" })).await;
    assert_eq!(again["data"], false);
    assert_eq!(hub.members("room-7").await, 2);

    // To all, one or several.
    let delivery = hub.send_to_group("room-7", Push::message("hi")).await;
    assert_eq!((delivery.delivered, delivery.kept), (2, Kept::No));
    hub.send(&Recipients::group("room-7".parse().unwrap()), [Push::data(1), Push::data(2)]).await;
    for client in [&mut alice, &mut bob] {
        assert_eq!(client.next().await, json!({ "code": "00", "msg": "hi", "group": "room-7" }));
        for data in [1, 2] {
            let expected = json!({ "code": "01", "msg": "", "data": data, "group": "room-7" });
            assert_eq!(client.next().await, expected);
        }
    }

    // To all but one.
    let said = alice.ask(json!({ "flag": "say", "body": ["room-7", "hello"] })).await;
    assert_eq!(said["data"], 1);
    let heard = json!({ "code": "00", "msg": "hello", "sender": "alice", "group": "room-7" });
    assert_eq!(bob.next().await, heard);

    // One leaves, one is cut off.
    assert_eq!(alice.ask(json!({ "flag": "exit", "body": "room-7" })).await["data"], true);
    assert_eq!(alice.ask(json!({ "flag": "exit", "body": "room-7" })).await["data"], false);
    assert_eq!(hub.members("room-7").await, 1);
    assert_eq!(hub.send_to_group("room-7", Push::message("bob only")).await.delivered, 1);
    assert_eq!(bob.next().await["msg"], "bob only");
    alice.ask(json!({ "flag": "enter", "body": "room-7" })).await;
    bob.reset();
    assert_eq!(
        alice.next().await,
        json!({ "code": "00", "msg": "gone", "sender": "bob", "group": "room-7" })
    );
    members(hub, "room-7", 1).await;

    // Closing a group closes its members.
    let room = Recipients::group("room-7".parse().unwrap());
    assert_eq!(hub.close_sessions(&room, CloseCode::POLICY, "").await.delivered, 1);
    assert_eq!(alice.end().await.code, 1008);
    members(hub, "room-7", 0).await;
    eve.ping().await;
}

#[tokio::test]
async fn a_session_can_join_from_the_start_and_up_to_the_limit() {
    let switch = Switch::new()
        .opened(|session: Session| async move {
            session.join(format!("of {}", session.key())).await?;
            Ok(Reply::none())
        })
        .on("enter", enter);
    let config = Config { groups_per_session: Some(2), ..Config::default() };
    let hub = Hub::builder(RawKey::from_path()).handler(switch).config(config).build();
    let server = Server::start(hub).await;
    let mut alice = server.client("alice").await;
    assert_eq!(server.hub.members("of alice").await, 1);
    alice.ask(json!({ "flag": "enter", "body": "second" })).await;
    let third = alice.ask(json!({ "flag": "enter", "body": "third" })).await;
    assert_eq!(third["code"], "43");
    assert!(third["msg"].as_str().unwrap().contains("Config::groups_per_session"), "{third}");
    assert_eq!(alice.ask(json!({ "flag": "enter", "body": "" })).await["code"], "40");

    let delivery = server.hub.send_to_group("two\nlines", Push::message("")).await;
    assert!(delivery.invalid_key.is_some() && delivery.is_absent());
    assert_eq!(server.hub.members("two\nlines").await, 0);
}

#[tokio::test]
async fn what_is_sent_to_a_group_names_it_unless_it_is_a_frame_or_names_one() {
    let store = Arc::new(MemoryStore::new());
    let hub_of_store = rooms().store(store.clone()).log(MemoryLog::new()).build();
    let (session, mut sent) = Session::detached_on(&hub_of_store, Identity::new(Key::new("alice").unwrap()));
    store.insert(session.clone(), SessionPolicy::default()).await.unwrap();
    session.join("a").await.unwrap();
    let (a, b) = (Group::new("a").unwrap(), Group::new("b").unwrap());
    let (to, push) = (Recipients::group(a.clone()), || Push::data(json!({ "group": "no" })));
    let hub = &hub_of_store;
    hub.send(&to, push()).await;
    hub.send(&to, &vec![push(), push()]).await;
    hub.send(&to, push().with_group(&b)).await;
    hub.send(&to, &Frame::push(&push())).await;
    hub.send(&Recipients::key(session.key().clone()), push()).await;
    let of_a = push().with_group(&a);
    let expected = [of_a.clone(), of_a.clone(), of_a.clone(), push().with_group(&b), push(), push()];
    assert_eq!(sent.pushes(), expected);

    // It is sent, and not kept.
    let delivery = hub.send(&to, push().kept()).await;
    assert_eq!((delivery.delivered, delivery.kept), (1, Kept::No));
    assert_eq!(sent.pushes(), [of_a]);
}

/// Passes on what it must.
struct Decorator(MemoryStore);

#[async_trait]
impl SessionStore for Decorator {
    async fn insert(&self, session: Session, policy: SessionPolicy) -> Result<Inserted, StoreError> {
        self.0.insert(session, policy).await
    }

    async fn remove(&self, session: &Session) -> Removed {
        self.0.remove(session).await
    }

    async fn dispatch(&self, to: &Recipients, order: &Order) -> Delivery {
        self.0.dispatch(to, order).await
    }

    async fn sessions(&self, of: &Recipients) -> Vec<Session> {
        self.0.sessions(of).await
    }

    async fn counts(&self) -> Counts {
        self.0.counts().await
    }
}

async fn inserted(hub: &Hub, store: &dyn SessionStore, key: &str) -> Session {
    let (session, _) = Session::detached_on(hub, Identity::new(Key::new(key).expect("a key")));
    store.insert(session.clone(), SessionPolicy::default()).await.expect("room for it");
    session
}

/// It would be silent: nobody finds the member.
#[tokio::test]
async fn a_decorator_that_forgets_groups_is_told() {
    let store = Arc::new(Decorator(MemoryStore::new()));
    let hub = Hub::builder(RawKey::from_path()).store(store.clone()).build();
    let alice = inserted(&hub, &store, "alice").await;
    assert!(matches!(alice.join("a").await, Err(JoinError::Unavailable(_))));
    assert!(!alice.is_in("a") && alice.groups().is_empty());
}

#[tokio::test]
async fn several_keys_are_reached_once_each() {
    let server = Server::start(rooms().build()).await;
    let mut clients = Vec::new();
    for key in ["alice", "alice", "bob", "eve"] {
        clients.push(server.client(key).await);
    }
    let keys = || ["bob", "alice", "bob", "nobody"].map(|key| Key::new(key).unwrap());
    assert_eq!(server.hub.send(&Recipients::keys(keys()), Push::message("hi")).await.delivered, 3);
    let not_bob = Recipients::keys(keys()).except(&server.hub.sessions("bob").await[0]);
    assert_eq!(server.hub.send(&not_bob, Push::message("you")).await.delivered, 2);
    assert_eq!(server.hub.close_sessions(&not_bob, CloseCode::POLICY, "").await.delivered, 2);
    for client in &mut clients[..2] {
        assert_eq!([client.next().await["msg"].clone(), client.next().await["msg"].clone()], ["hi", "you"]);
        assert_eq!(client.end().await.code, 1008);
    }
    assert_eq!(clients[2].next().await["msg"], "hi");
    clients[2].ping().await;
    clients[3].ping().await;
}

#[tokio::test]
async fn a_page_does_not_name_the_group() {
    let echo = |_: Session, envelope: Envelope| async move { Ok(envelope.parse::<Push>()?) };
    let server =
        Server::start(Hub::builder(RawKey::from_path()).handler(Switch::new().command(echo)).build()).await;
    let mut alice = server.client("alice").await;
    let body = json!({ "msg": "hi", "group": "admins", "sender": "eve" });
    let reply = alice.ask(json!({ "flag": "command", "body": body })).await;
    assert_eq!(reply, json!({ "code": "00", "msg": "hi" }));
}

#[cfg(feature = "client")]
#[tokio::test]
async fn the_client_reads_the_group() {
    use support::keywire_client::{client, opened, pushed};

    let switch = Switch::new().opened(|session: Session| async move {
        session.join("a").await?;
        Ok(Reply::none())
    });
    let server = Server::start(Hub::builder(RawKey::from_path()).handler(switch).build()).await;
    let (_client, mut events) = client(&server).key("alice").connect();
    opened(&mut events).await;
    server.hub.send_to_group("a", Push::message("hi")).await;
    let expected = Push::message("hi").with_group(&Group::new("a").unwrap());
    assert_eq!(pushed(&mut events).await, expected);
}
