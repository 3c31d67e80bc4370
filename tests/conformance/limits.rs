//! Messages that are as large as may be, and larger.

use keywire::Config;

use crate::case::{BINARY, CONTINUATION, Case, Class, FIN, TEXT, frame_of};
use crate::patient;

const LIMIT: usize = 10_000;

/// A message in fragments of one size.
fn fragments(opcode: u8, payload: &[u8], size: usize) -> Vec<Vec<u8>> {
    let mut pieces: Vec<_> = payload.chunks(size).map(|piece| frame_of(CONTINUATION, piece)).collect();
    let last = pieces.len() - 1;
    pieces[0][0] |= opcode;
    pieces[last][0] |= FIN;
    pieces
}

pub(crate) fn class() -> Class {
    let mut cases = Vec::new();
    for (kind, opcode) in [("text", TEXT), ("binary", BINARY)] {
        let (exact, over) = (vec![b'x'; LIMIT], vec![b'x'; LIMIT + 1]);
        let case = Case::new(format!("{kind} at the limit"), [frame_of(FIN | opcode, &exact)]);
        cases.extend(case.answered(opcode, &exact).in_all_cuts());
        let case = Case::new(format!("{kind} over the limit"), [frame_of(FIN | opcode, &over)]);
        cases.extend(case.refused(1009).in_all_cuts());
        let head = frame_of(FIN | opcode, &over)[..4].to_vec();
        cases.push(Case::new(format!("the head of {kind} over the limit"), [head, vec![0; 4]]).refused(1009));
        let huge = [&[FIN | opcode, 0xff, 0x7f], &[0xff; 7][..], &[0; 4]].concat();
        cases.push(Case::new(format!("the head of {kind} of all memory there is"), [huge]).refused(1009));

        for size in [1, 100, 3333, LIMIT - 1] {
            let name = |what| format!("{kind} {what} the limit in fragments of {size}");
            let case = Case::new(name("at"), fragments(opcode, &exact, size)).answered(opcode, &exact);
            let [whole, framed, _] = case.in_all_cuts();
            cases.extend([whole, framed]);
            let [whole, framed, _] =
                Case::new(name("over"), fragments(opcode, &over, size)).refused(1009).in_all_cuts();
            cases.extend([whole, framed]);
        }
        let empty = vec![frame_of(CONTINUATION, b""); 10_000];
        let frames = [vec![frame_of(opcode, b"")], empty, vec![frame_of(FIN, b"end")]].concat();
        let [whole, _, chopped] = Case::new(format!("{kind} in ten thousand empty fragments"), frames)
            .answered(opcode, b"end")
            .in_all_cuts();
        cases.extend([whole, chopped]);
    }
    Class { name: "limits", count: 52, config: Config { message_bytes: LIMIT, ..patient() }, cases }
}
