//! Pings and pongs.

use crate::case::{Case, Class, FIN, PING, PONG, frame_of};
use crate::patient;

pub(crate) fn class() -> Class {
    let mut cases = Vec::new();
    for (what, payload) in [
        ("nothing", &b""[..]),
        ("a text", b"are you there?"),
        ("bytes", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"),
        ("125 bytes", &[0xfe; 125]),
    ] {
        let ping = Case::new(format!("a ping with {what}"), [frame_of(FIN | PING, payload)]);
        cases.extend(ping.answered(PONG, payload).in_all_cuts());
    }
    for (what, opcode) in [("ping", PING), ("pong", PONG)] {
        let long = frame_of(FIN | opcode, &[0xfe; 126]);
        cases.push(Case::new(format!("a {what} of 126 bytes"), [long.clone()]).refused(1002));
        cases.push(
            Case::new(format!("the head of a {what} of 126 bytes"), [long[..2].to_vec()]).refused(1002),
        );
        let huge = [&[FIN | opcode, 0xff], &[0; 4][..]].concat();
        cases.push(Case::new(format!("the head of a {what} of 64 KiB"), [huge]).refused(1002));
    }
    for payload in [&b""[..], b"nobody asked", &[0; 125]] {
        let pong =
            Case::new(format!("a pong of {} bytes, unasked", payload.len()), [frame_of(FIN | PONG, payload)]);
        cases.extend(pong.in_all_cuts());
    }
    let pong =
        Case::new("a pong, unasked, and a ping", [frame_of(FIN | PONG, b"a"), frame_of(FIN | PING, b"b")]);
    cases.extend(pong.answered(PONG, b"b").in_all_cuts());

    for len in [0, 10, 125] {
        let payload = |number: u8| vec![number; len];
        let ten = Case::new(
            format!("ten pings of {len} bytes"),
            (0..10).map(|number| frame_of(FIN | PING, &payload(number))),
        );
        cases.extend((0..10).fold(ten, |case, number| case.answered(PONG, payload(number))).in_all_cuts());
    }
    Class { name: "pings", count: 39, config: patient(), cases }
}
