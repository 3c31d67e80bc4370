//! Messages in fragments, and what must not stand between them.

use crate::case::{BINARY, CONTINUATION, Case, Class, FIN, PING, PONG, TEXT, frame_of};
use crate::patient;

pub(crate) fn class() -> Class {
    let mut cases = Vec::new();
    for (kind, opcode) in [("text", TEXT), ("binary", BINARY)] {
        let two = Case::new(
            format!("{kind} in two fragments"),
            [frame_of(opcode, b"first, "), frame_of(FIN | CONTINUATION, b"second")],
        );
        cases.extend(two.answered(opcode, b"first, second").in_all_cuts());

        let empty = Case::new(
            format!("{kind} in three fragments without a byte"),
            [frame_of(opcode, b""), frame_of(CONTINUATION, b""), frame_of(FIN | CONTINUATION, b"")],
        );
        cases.extend(empty.answered(opcode, b"").in_all_cuts());

        let around = Case::new(
            format!("{kind} whose middle fragment has all of it"),
            [frame_of(opcode, b""), frame_of(CONTINUATION, b"all"), frame_of(FIN | CONTINUATION, b"")],
        );
        cases.extend(around.answered(opcode, b"all").in_all_cuts());

        let ping = Case::new(
            format!("a ping between two fragments of {kind}"),
            [
                frame_of(opcode, b"first, "),
                frame_of(FIN | PING, b"between"),
                frame_of(FIN | CONTINUATION, b"second"),
            ],
        );
        cases.extend(ping.answered(PONG, b"between").answered(opcode, b"first, second").in_all_cuts());

        let pings = Case::new(
            format!("two pings and a pong between five fragments of {kind}"),
            [
                frame_of(opcode, b"1"),
                frame_of(CONTINUATION, b"2"),
                frame_of(FIN | PING, b"a"),
                frame_of(CONTINUATION, b"3"),
                frame_of(FIN | PONG, b"unasked"),
                frame_of(CONTINUATION, b"4"),
                frame_of(FIN | PING, b"b"),
                frame_of(FIN | CONTINUATION, b"5"),
            ],
        );
        let pings = pings.answered(PONG, b"a").answered(PONG, b"b").answered(opcode, b"12345");
        cases.extend(pings.in_all_cuts());

        let inside = Case::new(
            format!("a message inside of {kind}"),
            [frame_of(opcode, b"first"), frame_of(FIN | opcode, b"another")],
        );
        cases.extend(inside.refused(1002).in_all_cuts());
        let inside = Case::new(
            format!("another first fragment inside of {kind}"),
            [frame_of(opcode, b"first"), frame_of(TEXT, b"another")],
        );
        cases.extend(inside.refused(1002).in_all_cuts());

        let long: Vec<u8> = (0..65536_u32).map(|n| (n % 0x80) as u8).collect();
        for size in [64, 256, 1024, 4096, 16384] {
            let pieces = long.chunks(size).enumerate().map(|(n, piece)| {
                let last = if (n + 1) * size >= long.len() { FIN } else { 0 };
                frame_of(last | if n == 0 { opcode } else { CONTINUATION }, piece)
            });
            let case = Case::new(format!("{kind} of 64 KiB in fragments of {size}"), pieces);
            cases.extend(case.answered(opcode, &long).in_all_cuts());
        }
    }
    for (what, opcode) in [("ping", PING), ("pong", PONG), ("close frame", crate::support::CLOSE)] {
        let halves = [frame_of(opcode, b"\x03"), frame_of(FIN | CONTINUATION, b"\xe8")];
        cases.extend(Case::new(format!("a {what} in two fragments"), halves).refused(1002).in_all_cuts());
    }
    for (what, first) in [("last", FIN | CONTINUATION), ("middle", CONTINUATION)] {
        for payload in [&b""[..], b"of what?"] {
            let name = format!("a {what} fragment of {} bytes of nothing", payload.len());
            let alone = Case::new(&*name, [frame_of(first, payload), frame_of(FIN | TEXT, b"behind")]);
            cases.extend(alone.refused(1002).in_all_cuts());
            let behind = Case::new(
                format!("{name}, behind a message in fragments"),
                [
                    frame_of(TEXT, b"first, "),
                    frame_of(FIN | CONTINUATION, b"second"),
                    frame_of(first, payload),
                    frame_of(FIN | TEXT, b"behind"),
                ],
            );
            cases.extend(behind.answered(TEXT, b"first, second").refused(1002).in_all_cuts());
        }
    }
    Class { name: "fragmentation", count: 105, config: patient(), cases }
}
