//! Well-behaved clients, to whom nothing of all this may matter: each gets everything that is sent to it, in order, by whom it
//! says it is.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use keywire::session::CloseCode;
use keywire::store::Recipients;
use keywire::{Delivery, Push};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::{Client, Server, within};
use crate::tally::Tally;

const KEYS: u64 = 6;
/// Of each key.
const TABS: usize = 2;

pub(crate) struct Witnesses {
    tabs: Vec<JoinHandle<HashMap<String, u64>>>,
    publisher: JoinHandle<HashMap<String, u64>>,
    done: Arc<AtomicBool>,
}

fn key(number: u64) -> String {
    format!("witness-{}", number % KEYS)
}

pub(crate) async fn come(server: &Arc<Server>, tally: &Arc<Tally>) -> Witnesses {
    let mut clients = Vec::new();
    for number in 0..KEYS {
        for _ in 0..TABS {
            clients.push((number, server.client(&key(number)).await));
        }
    }
    let tabs = clients
        .into_iter()
        .enumerate()
        .map(|(tab, (number, client))| tokio::spawn(watch(tab, number, client, tally.clone())))
        .collect();
    let done = Arc::new(AtomicBool::new(false));
    let publisher = tokio::spawn(publish(server.clone(), done.clone()));
    Witnesses { tabs, publisher, done }
}

/// Sends to each witness and to everyone until it is told to stop. Says how many of each there were.
async fn publish(server: Arc<Server>, done: Arc<AtomicBool>) -> HashMap<String, u64> {
    let mut sent = HashMap::<String, u64>::new();
    let mut next = |stream: &str| {
        let count = sent.entry(stream.to_owned()).or_default();
        *count += 1;
        json!({ "stream": stream, "number": *count })
    };
    while !done.load(Ordering::Relaxed) {
        for number in 0..KEYS {
            let delivery = server.hub.send_to(key(number), Push::data(next(&key(number)))).await;
            assert_eq!((delivery.delivered, delivery.slow), (TABS, 0), "{}", key(number));
        }
        let Delivery { delivered, .. } = server.hub.broadcast(Push::data(next("everyone"))).await;
        assert!(delivered >= TABS * KEYS as usize, "a broadcast reached {delivered}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    sent
}

/// Reads to the end, and says what came: the last number of each stream.
async fn watch(tab: usize, number: u64, mut client: Client, tally: Arc<Tally>) -> HashMap<String, u64> {
    let before = key(number + KEYS - 1);
    let mut last = HashMap::<String, u64>::new();
    loop {
        let message = within("a message to a witness", client.receive()).await;
        let text = match message {
            tokio_tungstenite::tungstenite::Message::Text(text) => text,
            tokio_tungstenite::tungstenite::Message::Close(frame) => {
                assert_eq!(frame.map(|frame| frame.code.into()), Some(4900_u16), "{}", key(number));
                return last;
            }
            other => panic!("{other:?}"),
        };
        let push: Value = serde_json::from_str(&text).expect("JSON");
        let data = &push["data"];
        let stream = data["stream"].as_str().expect("a stream").to_owned();
        if push["flag"] == "inform" {
            assert_eq!(push["sender"], before, "somebody else's name");
        } else {
            assert!(push["sender"].is_null() && (stream == key(number) || stream == "everyone"), "{push}");
        }
        let last = last.entry(stream).or_default();
        assert_eq!(data["number"], *last + 1, "{}: a gap, or out of order: {push}", key(number));
        *last += 1;
        tally.checked(1);
        // Tells its neighbour, under a false name.
        if last.is_multiple_of(10) && data["stream"] == key(number) {
            let stream = format!("from tab {tab}");
            let body = json!({ "stream": stream, "number": *last / 10 });
            let to = key(number + 1);
            client
                .send(json!({ "flag": "inform", "reception": to, "sender": "mallory", "body": body }))
                .await;
        }
    }
}

impl Witnesses {
    /// Whoever is missing has seen something wrong.
    pub(crate) fn assert_alive(&self) {
        assert!(self.tabs.iter().all(|tab| !tab.is_finished()), "a witness is gone");
        assert!(!self.publisher.is_finished(), "the publisher is gone");
    }

    /// Sends them home, and sees whether they have got all of it.
    pub(crate) async fn leave(self, server: &Server) {
        self.done.store(true, Ordering::Relaxed);
        let sent = within("the publisher", self.publisher).await.expect("no delivery but what was due");
        let end = CloseCode::new(4900).expect("free to use");
        server.hub.close_sessions(&Recipients::everyone(), end, "").await;
        for (at, tab) in self.tabs.into_iter().enumerate() {
            let got = within("a witness", tab).await.expect("a witness to whom nothing happened");
            for stream in [key(at as u64 / TABS as u64), "everyone".to_owned()] {
                assert_eq!(got.get(&stream), sent.get(&stream), "{stream}");
            }
        }
    }
}
