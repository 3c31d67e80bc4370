//! keywire's own client answers requests.
#![cfg(all(feature = "client", feature = "warp"))]

mod support;

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use keywire::auth::RawKey;
use keywire::client::{Client, ClientBuilder, Events};
use keywire::session::{Answer, CloseCode, RequestError};
use keywire::{Hub, Push, Session};
use support::keywire_client::{client, opened, pushed};
use support::{Server, within};
use tokio::sync::Semaphore;

/// Longer than any test.
const LONG: Duration = Duration::from_secs(600);

async fn server() -> Server {
    Server::start(Hub::builder(RawKey::from_path()).build()).await
}

/// A connected client, and its session.
async fn connected(server: &Server, builder: ClientBuilder) -> (Client, Events, Session) {
    let (client, mut events) = builder.key("alice").connect();
    opened(&mut events).await;
    let session = server.hub.sessions("alice").await.pop().expect("the session");
    (client, events, session)
}

async fn ask(session: &Session, push: Push) -> Result<Answer, RequestError> {
    within("an answer", session.request(push, LONG)).await
}

fn question(flag: &'static str) -> Push {
    Push::message("?").with_flag(flag)
}

#[tokio::test]
async fn handlers_answer_by_their_flag() {
    let server = server().await;
    let builder = client(&server)
        .answer("double", |push: Push| async move {
            let number = push.data.ok_or("no number")?.parse::<u32>().map_err(|_| "not a number")?;
            Ok::<_, &str>(2 * number)
        })
        .answer("panic", |_| async {
            if LONG.is_zero() { Ok::<_, Infallible>(()) } else { panic!("private") }
        })
        .answer("long", |_| async { Err::<(), _>("ë".repeat(200)) });
    let (_client, mut events, session) = connected(&server, builder).await;
    assert!(session.can_be_asked());
    assert_eq!(ask(&session, question("double").with_data(21)).await.unwrap().body::<u32>().unwrap(), 42);
    for (push, error) in [
        (question("double").with_data("x"), "not a number".to_owned()),
        (question("double"), "no number".to_owned()),
        (question("other"), "no handler for this flag".to_owned()),
        (question("panic"), "the handler panicked".to_owned()),
        (question("long"), "ë".repeat(128)),
    ] {
        assert_eq!(ask(&session, push).await, Err(RequestError::Failed(error.into())));
    }
    // No request is an event.
    session.send(Push::message("a push"));
    assert_eq!(pushed(&mut events).await.msg, "a push");
}

#[tokio::test]
async fn slow_handlers_hold_up_nothing_and_are_bounded() {
    let server = server().await;
    let gate = Arc::new(Semaphore::new(0));
    let builder = client(&server).answer("slow", {
        let gate = gate.clone();
        move |_| {
            let gate = gate.clone();
            async move { gate.acquire().await.map(|permit| permit.forget()) }
        }
    });
    let (client, _events, session) = connected(&server, builder).await;
    let asked: Vec<_> = (0..64)
        .map(|_| {
            let session = session.clone();
            tokio::spawn(async move { session.request(question("slow"), LONG).await })
        })
        .collect();
    // A request of the client goes by.
    assert_eq!(within("a reply", client.request("status")).await.unwrap().code.as_str(), "44");
    gate.add_permits(64);
    for asked in asked {
        assert!(within("an answer", asked).await.unwrap().is_ok());
    }
    // The server forgets what is late, and the client still works on it.
    for _ in 0..64 {
        let late = session.request(question("slow"), Duration::ZERO).await;
        assert_eq!(late, Err(RequestError::TimedOut));
    }
    let busy = RequestError::Failed("too many requests at a time".into());
    assert_eq!(ask(&session, question("slow")).await, Err(busy));
    assert_eq!(
        ask(&session, question("other")).await,
        Err(RequestError::Failed("no handler for this flag".into()))
    );
    gate.add_permits(64);
}

#[tokio::test]
async fn a_client_without_handlers_is_not_asked() {
    let server = server().await;
    let (_client, _events, session) = connected(&server, client(&server)).await;
    assert_eq!(ask(&session, question("double")).await, Err(RequestError::Unsupported));
}

#[tokio::test]
async fn a_handler_ends_with_its_connection_and_the_next_one_is_asked_again() {
    let server = server().await;
    let dropped = Arc::new(Semaphore::new(0));
    let builder = client(&server).answer("visible", {
        let dropped = dropped.clone();
        move |push: Push| {
            let told = Told(dropped.clone());
            async move {
                if push.data.is_none() {
                    pending::<()>().await;
                }
                drop(told);
                Ok::<_, Infallible>(true)
            }
        }
    });
    let (_client, mut events, session) = connected(&server, builder).await;
    let asked = tokio::spawn({
        let session = session.clone();
        async move { session.request(question("visible"), LONG).await }
    });
    // The handler has begun when this is answered.
    assert!(ask(&session, question("visible").with_data(1)).await.is_ok());
    within("the first end of a handler", dropped.acquire()).await.unwrap().forget();
    session.close(CloseCode::RESTART, "");
    assert_eq!(within("the end", asked).await.unwrap(), Err(RequestError::Ended));
    within("the end of the other handler", dropped.acquire()).await.unwrap().forget();
    opened(&mut events).await;
    let session = server.hub.sessions("alice").await.pop().expect("the session");
    assert!(ask(&session, question("visible").with_data(1)).await.is_ok());
}

/// Counts its end.
struct Told(Arc<Semaphore>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}
