use std::collections::BTreeSet;

use rand::Rng as _;

use super::*;
use crate::key::Key;

fn topic(number: usize) -> Topic {
    Topic::key(&Key::new(number.to_string()).unwrap())
}

/// The server: what it has confirmed.
fn confirm(desired: &mut Desired, batch: &Batch) -> bool {
    let mut restored = false;
    for topic in &batch.topics {
        if batch.join {
            restored |= desired.confirmed(topic);
        } else {
            assert_eq!(desired.ended(topic), None, "this node has asked for the end");
        }
    }
    restored
}

#[test]
fn batches_are_bounded_and_one_partition_each_if_sharded() {
    for sharded in [false, true] {
        let mut desired = Desired::new(sharded);
        assert!(desired.connect());
        let waiting: Vec<_> = (0..1200).map(|number| desired.want(&topic(number)).unwrap()).collect();
        let batches: Vec<_> = std::iter::from_fn(|| desired.next_batch()).collect();
        assert_eq!(batches.iter().map(|batch| batch.topics.len()).sum::<usize>(), 1200);
        for batch in &batches {
            let partitions: BTreeSet<_> = batch.topics.iter().map(Partition::of_topic).collect();
            assert!(batch.join && batch.topics.len() <= BATCH && (!sharded || partitions.len() == 1));
        }
        assert_eq!(batches.len() > 3, sharded);
        for batch in &batches {
            confirm(&mut desired, batch);
        }
        assert!(waiting.into_iter().all(|mut waiting| waiting.try_recv().is_ok()));
        assert!(desired.want(&topic(7)).is_none(), "confirmed already");
    }
}

#[test]
fn after_an_interruption_all_that_was_wanted_is_confirmed_first() {
    let mut desired = Desired::new(false);
    desired.connect();
    drop((desired.want(&topic(1)), desired.want(&topic(2))));
    let batch = desired.next_batch().unwrap();
    confirm(&mut desired, &batch);
    let mut lost = desired.want(&topic(3)).unwrap();
    desired.disconnect();
    assert!(lost.try_recv().is_err(), "the caller is told");
    desired.unwant(&topic(2));
    drop(desired.want(&topic(4)));
    assert_eq!(desired.next_batch(), None, "nothing can be sent");

    assert!(!desired.connect());
    drop(desired.want(&topic(5)));
    let mut batch = desired.next_batch().unwrap();
    batch.topics.sort();
    assert_eq!(batch.topics, [1, 3, 4, 5].map(topic));
    assert!(!desired.confirmed(&topic(1)) && !desired.confirmed(&topic(3)));
    assert!(desired.confirmed(&topic(4)), "5 is new");
    assert!(!desired.confirmed(&topic(5)));
}

#[test]
fn a_subscription_that_the_server_ends_is_made_again() {
    let mut desired = Desired::new(true);
    desired.connect();
    drop((desired.want(&topic(1)), desired.want(&topic(2))));
    while let Some(batch) = desired.next_batch() {
        confirm(&mut desired, &batch);
    }
    assert_eq!(desired.ended(&topic(1)), Some(true));
    assert_eq!(desired.ended(&topic(2)), Some(false));
    let batches: Vec<_> = std::iter::from_fn(|| desired.next_batch()).collect();
    let restored: Vec<_> = batches.iter().map(|batch| confirm(&mut desired, batch)).collect();
    assert_eq!(restored.last(), Some(&true));
}

/// Random calls, confirmations, refusals and breaks: in the end the server has what was wanted last, and the node was told of each
/// interruption and of its end, in turns.
#[test]
fn the_last_call_decides() {
    let mut random = rand::rng();
    for run in 0..5000 {
        let mut desired = Desired::new(run % 2 == 0);
        let (mut wanted, mut server) = (BTreeSet::new(), BTreeSet::new());
        let mut in_flight = VecDeque::<Batch>::new();
        let (mut connected, mut interrupted, mut steps) = (true, false, 80);
        assert!(desired.connect());
        loop {
            let topic = topic(random.next_u32() as usize % 4);
            // At the end everything is served.
            let choice = if steps == 0 { 9 } else { random.next_u32() % 12 };
            steps = u32::saturating_sub(steps, 1);
            let (mut begins, mut ends) = (false, false);
            match choice {
                0 | 1 => {
                    drop(desired.want(&topic));
                    wanted.insert(topic);
                }
                2 => {
                    ends = desired.unwant(&topic);
                    wanted.remove(&topic);
                }
                3 => {
                    begins = desired.adopt(&topic);
                    wanted.insert(topic);
                }
                4 if connected => {
                    begins = desired.disconnect();
                    connected = false;
                    in_flight.clear();
                    server.clear();
                }
                5 if connected && in_flight.is_empty() && server.remove(&topic) => {
                    begins = desired.ended(&topic) == Some(true);
                }
                6 if connected => {
                    in_flight.extend(desired.next_batch());
                    if let Some(batch) = in_flight.pop_front() {
                        begins = batch.join && desired.refused(&batch.topics);
                        if !batch.join {
                            in_flight.push_front(batch);
                        }
                    }
                }
                7 => desired.retry(),
                _ if !connected => {
                    ends = desired.connect();
                    connected = true;
                }
                _ => {
                    in_flight.extend(desired.next_batch());
                    match in_flight.pop_front() {
                        Some(batch) => {
                            for topic in &batch.topics {
                                if batch.join {
                                    server.insert(topic.clone())
                                } else {
                                    server.remove(topic)
                                };
                            }
                            ends = confirm(&mut desired, &batch);
                        }
                        None if steps == 0 && !desired.has_refused => break,
                        None => desired.retry(),
                    }
                }
            }
            assert!(!(begins && interrupted), "interrupted twice");
            assert!(!ends || interrupted, "restored twice");
            interrupted = (interrupted || begins) && !ends;
        }
        assert_eq!(server, wanted, "run {run}");
        assert_eq!(desired.len(), wanted.len(), "nothing is left behind");
        assert!(!interrupted, "restored in the end");
        assert!(!desired.close(), "nothing is missing");
    }
}

#[test]
fn what_is_closed_says_nothing_any_more() {
    let mut desired = Desired::new(true);
    desired.connect();
    assert!(desired.adopt(&topic(1)));
    assert!(desired.close(), "one is missing");
    assert!(!desired.confirmed(&topic(1)) && !desired.disconnect() && !desired.connect());
}
