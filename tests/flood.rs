//! A flood, and one who reads nothing of it: memory is bounded, and nobody else notices.
// Memory is read from /proc.
#![cfg(all(feature = "warp", target_os = "linux"))]

mod support;

use std::time::Duration;

use keywire::auth::RawKey;
use keywire::limits::SlowPolicy;
use keywire::{Config, Delivery, Hub, Push};
use support::Server;

/// What was sent was received, or was said to have been dropped; memory stays where it was; nobody else misses
/// anything.
async fn flood(slow_readers: SlowPolicy) {
    const MESSAGES: u64 = 2_000;
    let (switch, mut ends) = support::telling_ends();
    let config =
        Config { slow_readers, ping_interval: None, close_timeout: Duration::MAX, ..Config::default() };
    let hub = Hub::builder(RawKey::from_path()).handler(switch).config(config).build();
    let server = Server::start(hub).await;
    let mut slow = server.raw_session("slow").await;
    let mut good = server.client("good").await;
    let mut total = Delivery::default();
    let mut most = 0;
    let before = resident_bytes();
    let text = "x".repeat(32 * 1024);
    for number in 0..MESSAGES {
        let delivery = server.hub.broadcast(Push::message(text.clone()).with_data(number)).await;
        total.delivered += delivery.delivered;
        total.dropped += delivery.dropped;
        total.slow += delivery.slow;
        assert_eq!(good.next().await["data"], number);
        most = most.max(resident_bytes());
    }
    // 64 MiB were sent, and the queue holds 1.
    let grown = most.saturating_sub(before) >> 20;
    assert!(grown < 24, "{grown} MiB more");
    good.ping().await;

    let mut received = Vec::new();
    if slow_readers == SlowPolicy::Close {
        assert_eq!((total.slow, total.dropped), (1, 0));
        assert_eq!(u16::from(ends.next("the end of the slow one").await.1.code), 4003);
        assert_eq!(ends.rest(), []);
        return;
    }
    // It is still there, and answered behind all that has waited for it.
    assert_eq!((total.slow, ends.rest()), (0, vec![]));
    slow.write(&support::masked(support::TEXT, br#"{"flag":"kw:ping"}"#)).await;
    loop {
        let push = slow.push().await;
        match push["data"].as_u64() {
            Some(number) => received.push(number),
            None => break assert_eq!(push["flag"], "kw:pong"),
        }
    }
    assert!(received.is_sorted_by(|a, b| a < b));
    let (first, last) = (received[0], received[received.len() - 1]);
    match slow_readers {
        SlowPolicy::DropNewest => {
            assert_eq!((first, last), (0, received.len() as u64 - 1));
            assert_eq!(total.delivered as u64, MESSAGES + received.len() as u64);
        }
        _ => {
            assert_eq!((first, last), (0, MESSAGES - 1));
            assert_eq!(total.delivered as u64, 2 * MESSAGES);
        }
    }
    assert!(total.dropped > 500, "only {} were too many", total.dropped);
    assert_eq!(received.len() + total.dropped, MESSAGES as usize);
}

/// One after the other, and alone in this file: the memory is the process's.
#[tokio::test]
async fn who_reads_nothing_of_a_flood_costs_no_more_than_a_queue() {
    for slow_readers in [SlowPolicy::Close, SlowPolicy::DropNewest, SlowPolicy::DropOldest] {
        flood(slow_readers).await;
    }
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux's /proc");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("a number of pages") * 4096
}
