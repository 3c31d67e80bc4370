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
        batches.iter().for_each(|batch| drop(confirm(&mut desired, batch)));
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

/// Random calls, confirmations and breaks: in the end the server has what was wanted last.
#[test]
fn the_last_call_decides() {
    let mut random = rand::rng();
    for run in 0..2000 {
        let mut desired = Desired::new(run % 2 == 0);
        let (mut wanted, mut server) = (BTreeSet::new(), BTreeSet::new());
        let mut in_flight = VecDeque::new();
        let mut interrupted = false;
        let (mut connected, mut steps) = (false, 60);
        loop {
            // At the end everything is served.
            let choice = if steps == 0 { 4 + steps % 2 } else { random.next_u32() % 8 };
            steps = u32::saturating_sub(steps, 1);
            let topic = topic(random.next_u32() as usize % 4);
            match choice {
                0 | 1 => {
                    let confirmed = desired.want(&topic).is_none();
                    wanted.insert(topic.clone());
                    assert!(!confirmed || server.contains(&topic) || !in_flight.is_empty());
                }
                2 => {
                    wanted.remove(&topic);
                    if desired.unwant(&topic) && connected {
                        interrupted = false;
                    }
                }
                3 if connected && random.next_u32() % 4 == 0 => {
                    desired.disconnect();
                    (connected, interrupted) = (false, true);
                    in_flight.clear();
                    server.clear();
                }
                _ if !connected => {
                    interrupted = !desired.connect();
                    connected = true;
                }
                _ => {
                    in_flight.extend(desired.next_batch());
                    let Some(batch): Option<Batch> = in_flight.pop_front() else {
                        if steps == 0 {
                            break;
                        }
                        continue;
                    };
                    for topic in &batch.topics {
                        if batch.join {
                            server.insert(topic.clone())
                        } else {
                            server.remove(topic)
                        };
                    }
                    if confirm(&mut desired, &batch) {
                        interrupted = false;
                    }
                }
            }
        }
        assert_eq!(server, wanted, "run {run}");
        assert_eq!(desired.len(), wanted.len(), "nothing is left behind");
        assert!(!interrupted, "restored in the end");
    }
}
