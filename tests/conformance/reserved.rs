//! Bits and opcodes that mean nothing.

use crate::case::{BINARY, Case, Class, FIN, PING, TEXT, frame_of};
use crate::patient;
use crate::support::CLOSE;

pub(crate) fn class() -> Class {
    let mut cases = Vec::new();
    for bits in 1..=7_u8 {
        for (what, opcode) in [("text", TEXT), ("binary", BINARY), ("ping", PING), ("close", CLOSE)] {
            let name = format!("the reserved bits {bits:03b} in a {what}");
            let bad = frame_of(FIN | bits << 4 | opcode, b"\x03\xe8");
            cases.push(
                Case::new(format!("{name}, seen at the first byte"), [bad[..1].to_vec()]).refused(1002),
            );
            // What came before is answered, and what comes behind is not.
            let frames = [frame_of(FIN | TEXT, b"before"), bad, frame_of(FIN | TEXT, b"behind")];
            cases.extend(Case::new(name, frames).answered(TEXT, b"before").refused(1002).in_all_cuts());
        }
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        for payload in [&b""[..], b"something"] {
            let name = format!("opcode {opcode} with {} bytes", payload.len());
            let frames =
                [frame_of(FIN | TEXT, b"before"), frame_of(FIN | opcode, payload), frame_of(FIN | PING, b"")];
            cases.extend(Case::new(name, frames).answered(TEXT, b"before").refused(1002).in_all_cuts());
        }
    }
    Class { name: "reserved", count: 172, config: patient(), cases }
}
