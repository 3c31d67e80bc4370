use std::time::SystemTime;

use super::*;
use crate::Key;

fn alice() -> Identity {
    Identity::new(Key::new("alice").unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_ticket_is_good_once_and_for_a_while() {
    let tickets = Tickets::new().lifetime(Duration::from_secs(10));
    let ticket = tickets.issue(alice().with(7_u8)).await.unwrap();
    assert_eq!(ticket.as_str().len(), 43);
    let identity = tickets.clone().take(ticket.as_str()).await.unwrap();
    assert_eq!((identity.key().as_str(), identity.get::<u8>()), ("alice", Some(&7)));
    assert_eq!(tickets.take(ticket.as_str()).await.unwrap_err(), Rejection::Expired);

    let (first, second) = (tickets.issue(alice()).await.unwrap(), tickets.issue(alice()).await.unwrap());
    assert_ne!(first.as_str(), second.as_str());
    tokio::time::advance(Duration::from_millis(9_999)).await;
    assert!(tickets.take(first.as_str()).await.is_ok());
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(tickets.take(second.as_str()).await.unwrap_err(), Rejection::Expired);
}

#[tokio::test]
async fn what_cannot_be_a_ticket_is_refused() {
    let tickets = Tickets::new();
    let ticket = tickets.issue(alice()).await.unwrap();
    let good = ticket.as_str();
    for bad in [
        "",
        "alice",
        &good[..42],
        &format!("{good}="),
        &format!("{good}A"),
        &format!(" {good}"),
        &good.repeat(1_000),
        &"+".repeat(43),
        // 43 characters have two unused bits. Only one spelling of a ticket is valid.
        &format!("{}B", &good[..42]),
    ] {
        assert_eq!(tickets.take(bad).await.unwrap_err(), Rejection::Invalid, "{bad}");
    }
    assert_eq!(tickets.take(&"A".repeat(43)).await.unwrap_err(), Rejection::Expired);
    assert!(tickets.take(good).await.is_ok());
}

#[tokio::test]
async fn a_ticket_does_not_outlive_the_identity() {
    let tickets = Tickets::new();
    let over = alice().expiring_at(SystemTime::now());
    let ticket = tickets.issue(over).await.unwrap();
    assert_eq!(tickets.take(ticket.as_str()).await.unwrap_err(), Rejection::Expired);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_at_once_one_gets_in() {
    let tickets = Tickets::new();
    for _ in 0..50 {
        let ticket = tickets.issue(alice()).await.unwrap();
        let tries = (0..8).map(|_| {
            let (tickets, ticket) = (tickets.clone(), ticket.clone());
            tokio::spawn(async move { tickets.take(ticket.as_str()).await.is_ok() })
        });
        let mut let_in = 0;
        for attempt in tries.collect::<Vec<_>>() {
            let_in += usize::from(attempt.await.unwrap());
        }
        assert_eq!(let_in, 1);
    }
}

#[tokio::test]
async fn nothing_shows_a_ticket() {
    let tickets = Tickets::new();
    let ticket = tickets.issue(alice()).await.unwrap();
    let shown = format!("{ticket:?} {tickets:?} {:?}", TicketKey::new(&tickets));
    assert!(!shown.contains(ticket.as_str()), "{shown}");
    let json = serde_json::to_string(&ticket).unwrap();
    assert_eq!(json, format!("\"{}\"", ticket.as_str()));
}
