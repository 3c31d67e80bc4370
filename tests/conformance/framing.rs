//! Messages on both sides of each way to write a length, in one piece and in chops.

use crate::case::{BINARY, Case, Class, FIN, TEXT, frame_of};
use crate::patient;

pub(crate) fn class() -> Class {
    let mut cases = Vec::new();
    for (kind, opcode, letter) in [("text", TEXT, b'*'), ("binary", BINARY, 0xfe)] {
        for len in [0, 1, 125, 126, 127, 128, 65535, 65536] {
            let payload = vec![letter; len];
            let case = Case::new(format!("{kind} of {len} bytes"), [frame_of(FIN | opcode, &payload)])
                .answered(opcode, &payload);
            let [whole, _, chopped] = case.in_all_cuts();
            cases.extend([whole, chopped]);
        }
        let frames = (0..100_u8).map(|number| frame_of(FIN | opcode, &[number % 0x80]));
        let many = Case::new(format!("a hundred of {kind}"), frames);
        let many = (0..100_u8).fold(many, |case, number| case.answered(opcode, [number % 0x80]));
        cases.extend(many.in_all_cuts());
    }
    // The length does not have to be small to be written in few bytes: it must be.
    for (what, length) in [
        ("125 in two bytes", &[0xfe, 0, 125][..]),
        ("125 in eight bytes", &[0xff, 0, 0, 0, 0, 0, 0, 0, 125]),
        ("65535 in eight bytes", &[0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff]),
        ("the top bit of a length", &[0xff, 0x80, 0, 0, 0, 0, 0, 0, 1]),
    ] {
        cases.push(Case::new(what, [[&[FIN | BINARY], length].concat()]).refused(1002));
    }
    for (what, bytes) in [("a text", &b"\x81\x02hi"[..]), ("a ping", b"\x89\x00"), ("a close", b"\x88\x00")] {
        cases.push(Case::new(format!("{what} without a mask"), [bytes.to_vec()]).refused(1002));
    }
    Class { name: "framing", count: 45, config: patient(), cases }
}
