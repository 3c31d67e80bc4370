use super::*;
use crate::websocket::{OpCode, frame};

/// Messages with payloads of these lengths, each of a byte of its own.
fn messages(lens: &[usize]) -> Vec<Bytes> {
    (0..).zip(lens).map(|(number, len)| frame(OpCode::Text, &vec![number; *len])).collect()
}

#[test]
fn the_oldest_are_dropped_one_by_one_but_not_what_is_begun() {
    // Gathered, alone, and gathered again.
    let lens = [10, 20, 30, 1_000, 300, 5];
    for written in 0..=messages(&lens[..3]).concat().len() {
        let mut queue = Queue::default();
        let all = messages(&lens);
        all.iter().for_each(|frame| queue.push(frame.clone().into(), 1));
        let (bytes, count) = (queue.bytes(), queue.messages());
        queue.advance(written);
        // What stands in front of the first that nothing has been written of.
        let mut begun = 0;
        let mut at = 0;
        while at < written {
            at += all[begun].len();
            begun += 1;
        }
        let whole = written == messages(&lens[..3]).concat().len();
        let counted = if whole { begun } else { 0 };
        assert_eq!((queue.bytes(), queue.messages()), (bytes - written, count - counted), "{written}");
        for oldest in begun..all.len() {
            let expected = [&all[..begun], &all[oldest..]].concat().concat()[written..].to_vec();
            assert_eq!(waiting(&queue), expected, "{written} {oldest}");
            assert_eq!(queue.bytes(), expected.len());
            assert!(queue.drop_oldest());
        }
        assert!(!queue.drop_oldest());
        assert_eq!(waiting(&queue), all[..begun].concat()[written..]);
        assert_eq!(queue.kept(), (queue.bytes(), queue.messages()));
        queue.advance(queue.bytes());
        assert!(queue.is_empty() && queue.rest.is_none());
        assert_eq!((queue.bytes(), queue.messages()), (0, 0));
    }
}

#[test]
fn what_may_be_dropped_is_known_before() {
    let mut queue = Queue::default();
    queue.push(Bytes::from(messages(&[10, 20, 30]).concat()).into(), 3);
    messages(&[600, 40, 50]).into_iter().for_each(|frame| queue.push(frame.into(), 1));
    assert_eq!(queue.kept(), (0, 0));
    // Sent as one: what is begun is finished.
    queue.advance(1);
    assert_eq!(queue.kept(), (12 + 22 + 32 - 1, 3));
    queue.interject(control("P"));
    assert_eq!(queue.kept(), (12 + 22 + 32, 3));
    let mut dropped = 0;
    while queue.drop_oldest() {
        dropped += 1;
    }
    assert_eq!((dropped, queue.bytes(), queue.messages()), (3, 12 + 22 + 32, 3));
    assert!(waiting(&queue).ends_with(b"P"));
}

#[test]
fn several_that_were_sent_together_are_dropped_one_by_one() {
    let mut queue = Queue::default();
    queue.interject(control("P"));
    queue.push(Bytes::from(messages(&[10, 20]).concat()).into(), 2);
    assert!(queue.drop_oldest());
    assert_eq!(waiting(&queue), [b"P", &*messages(&[10, 20])[1]].concat());
    assert_eq!((queue.bytes(), queue.messages()), (23, 1));
    assert!(queue.drop_oldest());
    assert_eq!((waiting(&queue), queue.messages()), (b"P".to_vec(), 0));
    assert!(!queue.drop_oldest());
}

fn control(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn waiting(queue: &Queue) -> Vec<u8> {
    queue.with_slices(|slices| slices.iter().flat_map(|slice| slice.to_vec()).collect())
}

fn queue(frames: &[&'static [u8]]) -> Queue {
    let mut queue = Queue::default();
    frames.iter().for_each(|frame| queue.push(Bytes::from_static(frame).into(), 1));
    queue
}

#[test]
fn leaves_in_order_whatever_is_written_at_once() {
    let frames: &[&[u8]] = &[b"abc", b"d", b"efgh"];
    for step in 1..=8 {
        let mut queue = queue(frames);
        let mut written = Vec::new();
        while !queue.is_empty() {
            let next = waiting(&queue);
            let step = step.min(next.len());
            written.extend_from_slice(&next[..step]);
            queue.advance(step);
            assert_eq!(queue.bytes(), 8 - written.len());
        }
        assert_eq!(written, b"abcdefgh");
        assert!(queue.messages() == 0 && queue.rest.is_none());
    }
}

#[test]
fn a_control_frame_waits_for_the_end_of_the_frame_that_was_begun() {
    let mut queue = queue(&[b"abc", b"d"]);
    queue.interject(control("P1"));
    assert_eq!(waiting(&queue), b"P1abcd");
    queue.advance(3);
    queue.push(Bytes::from_static(b"e").into(), 1);
    queue.interject(control("P2"));
    assert_eq!(waiting(&queue), b"bcdP2e");
    assert_eq!((queue.bytes(), queue.messages()), (6, 3));
}

#[test]
fn control_frames_of_a_kind_keep_their_order() {
    let mut queue = queue(&[b"abc"]);
    queue.interject(control("P1"));
    queue.interject(control("P22"));
    queue.interject(control("Q1"));
    assert_eq!(waiting(&queue), b"Q1P1P22abc");
    assert_eq!((queue.bytes(), queue.messages()), (10, 1));
    queue.advance(4);
    queue.interject(control("P3"));
    assert_eq!(waiting(&queue), b"P22P3abc");
}

#[test]
fn a_control_frame_takes_the_place_of_many_of_its_kind() {
    let mut queue = queue(&[b"abc"]);
    for number in 0..10_000_u32 {
        queue.interject(Bytes::from([b"P", &number.to_be_bytes()[..], &[0; 120]].concat()));
        assert!(queue.bytes() <= 3 + CONTROLS && queue.bytes() == waiting(&queue).len());
    }
    assert_eq!(queue.messages(), 1);
    let bytes = waiting(&queue);
    assert_eq!(bytes[bytes.len() - 3 - 125..][1..5], 9_999_u32.to_be_bytes());
}

#[test]
fn what_was_begun_is_not_discarded() {
    let mut queue = queue(&[b"abc", b"d"]);
    queue.advance(1);
    queue.push(Bytes::from_static(b"e").into(), 1);
    queue.discard();
    assert_eq!(waiting(&queue), b"bcd");
    assert_eq!((queue.bytes(), queue.messages()), (3, 2));
    queue.advance(3);
    queue.push(Bytes::from_static(b"x").into(), 1);
    queue.discard();
    assert!(queue.is_empty());
    assert_eq!((queue.bytes(), queue.messages()), (0, 0));
}

#[test]
fn more_than_one_call_can_write_is_written_by_the_next() {
    let mut queue = Queue::default();
    let frames: Vec<_> = (0..100).map(|n: u8| vec![n; SHORT + 1]).collect();
    frames.iter().for_each(|frame| queue.push(Bytes::copy_from_slice(frame).into(), 1));
    assert_eq!(waiting(&queue), frames[..BATCH].concat());
    queue.advance(BATCH * (SHORT + 1));
    assert_eq!(waiting(&queue), frames[BATCH..].concat());
}

#[test]
fn small_frames_are_gathered_but_not_for_ever() {
    let mut queue = Queue::default();
    let frames: Vec<_> = (0..100).map(|n: u8| vec![n; 100]).collect();
    frames.iter().for_each(|frame| queue.push(Bytes::copy_from_slice(frame).into(), 1));
    let lens = queue.with_slices(|slices| slices.iter().map(|slice| slice.len()).collect::<Vec<_>>());
    assert_eq!(lens, [4000, 4000, 2000]);
    assert_eq!(waiting(&queue), frames.concat());
    assert_eq!((queue.bytes(), queue.messages()), (10_000, 100));
}

#[test]
fn a_control_frame_is_not_gathered() {
    let mut queue = Queue::default();
    queue.interject(control("P1"));
    queue.push(Bytes::from_static(b"abc").into(), 1);
    queue.interject(control("P2"));
    assert_eq!(waiting(&queue), b"P1P2abc");
    queue.push(control("C").into(), 0);
    assert_eq!(queue.rest.map(|rest| rest.len()), Some(2));
}

#[test]
fn frames_that_wait_hold_little_more_memory_than_their_bytes() {
    let buffer = |len: usize| {
        let mut buffer = Vec::with_capacity(4096);
        buffer.resize(len, 0);
        Frames::from(buffer)
    };
    let held = |queue: &Queue| {
        let entries = queue.first.iter().chain(queue.rest.iter().flat_map(|rest| rest.iter()));
        let capacity = entries.map(|entry| match &entry.frames {
            Frames::Gathered(buffer) => buffer.capacity(),
            Frames::Shared(bytes) => {
                bytes.clone().try_into_mut().map_or(bytes.len(), |bytes| bytes.capacity())
            }
        });
        capacity.sum::<usize>()
    };
    let mut queue = Queue::default();
    for _ in 0..100 {
        queue.push(buffer(20), 1);
        queue.push(buffer(SHORT + 1), 1);
    }
    queue.trim();
    assert!(held(&queue) <= 2 * queue.bytes(), "{} for {}", held(&queue), queue.bytes());
}
