//! keywire's own client, and waits for its events.

use std::time::Duration;

use keywire::Push;
use keywire::client::{Client, ClientBuilder, End, Event, Events};

use super::{Server, within};

pub(crate) const QUICK: Duration = Duration::from_millis(20);

/// A client that reconnects soon.
pub(crate) fn client(server: &Server) -> ClientBuilder {
    client_of(&format!("ws://{}/websocket", server.addr))
}

pub(crate) fn client_of(url: &str) -> ClientBuilder {
    Client::builder(url).expect("a URL").delays(QUICK, QUICK)
}

pub(crate) async fn next(events: &mut Events) -> Event {
    within("an event", events.next()).await.expect("a client that goes on")
}

pub(crate) async fn opened(events: &mut Events) {
    within("an open connection", async {
        loop {
            match next(events).await {
                Event::Open => return,
                Event::Failed(_) | Event::Closed(End { returns_in: Some(_), .. }) => {}
                other => panic!("{other:?}"),
            }
        }
    })
    .await;
}

pub(crate) async fn pushed(events: &mut Events) -> Push {
    match next(events).await {
        Event::Push(push) => push,
        other => panic!("{other:?}"),
    }
}

/// The next end, final or not.
pub(crate) async fn closed(events: &mut Events) -> End {
    loop {
        if let Event::Closed(end) = next(events).await {
            return end;
        }
    }
}

/// The final end.
pub(crate) async fn last(events: &mut Events) -> (u16, String) {
    let End { code, reason, returns_in, .. } = closed(events).await;
    assert_eq!(returns_in, None);
    assert!(within("the end", events.next()).await.is_none());
    (code.into(), reason)
}
