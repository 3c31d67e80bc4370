//! permessage-deflate: offers, compressed messages, and what must not be compressed.

use flate2::{Compress, Decompress, FlushCompress, FlushDecompress};
use keywire::Config;
use keywire::limits::Compression;

use crate::case::{BINARY, CONTINUATION, Case, Class, FIN, PING, PONG, TEXT, frame_of};
use crate::patient;
use crate::support::CLOSE;

const RSV1: u8 = 0x40;
const LIMIT: usize = 256 * 1024;

const OFFER: &str = "permessage-deflate";
const ANSWER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
const ANSWER_15: &str =
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=15";

pub(crate) fn inflated(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 * LIMIT);
    let payload = [payload, b"\0\0\xff\xff"].concat();
    Decompress::new(false).decompress_vec(&payload, &mut out, FlushDecompress::Sync).expect("deflate");
    out
}

/// At level 0 it gets longer.
fn deflated(message: &[u8], level: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 * message.len() + 100);
    let mut state = Compress::new(flate2::Compression::new(level), false);
    state.compress_vec(message, &mut out, FlushCompress::Sync).expect("enough room");
    out.truncate(out.len() - 4);
    out
}

/// Numbers as text: they shrink, but not to nothing.
fn text(len: usize) -> Vec<u8> {
    (0..).flat_map(|n: u64| (n * n).to_string().into_bytes()).take(len).collect()
}

fn granted(case: Case) -> Case {
    case.offering(OFFER, Some(ANSWER))
}

pub(crate) fn class() -> Class {
    let cases = [offers(), messages(), fragments(), violations(), bombs()].concat();
    let config = Config { compression: Compression::deflate(), message_bytes: LIMIT, ..patient() };
    Class { name: "deflate", count: 212, config, cases }
}

fn offers() -> Vec<Case> {
    let good = [
        (OFFER, ANSWER),
        ("permessage-deflate; client_max_window_bits", ANSWER),
        ("permessage-deflate; client_max_window_bits=8", ANSWER),
        ("permessage-deflate; client_max_window_bits=\"15\"", ANSWER),
        ("permessage-deflate; server_no_context_takeover; client_no_context_takeover", ANSWER),
        ("permessage-deflate; server_max_window_bits=15", ANSWER_15),
        ("permessage-deflate; server_max_window_bits=9, permessage-deflate", ANSWER),
        ("x-webkit-deflate-frame, permessage-deflate", ANSWER),
    ];
    let bad = [
        "permessage-deflate; server_max_window_bits=9",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=16",
        "permessage-deflate; client_max_window_bits=010",
        "permessage-deflate; server_no_context_takeover=true",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; unknown",
        "permessage-bzip2",
        "permessage-deflate;",
    ];
    let message = text(4000);
    let compressed = |offer: &'static str, answer| {
        let frame = frame_of(FIN | RSV1 | TEXT, &deflated(&message, 6));
        Case::new(format!("the offer {offer}"), [frame])
            .answered(TEXT, &message)
            .offering(offer, Some(answer))
    };
    let plain = |offer: &'static str| {
        let frames = [frame_of(FIN | TEXT, &message), frame_of(FIN | RSV1 | TEXT, &deflated(&message, 6))];
        let case = Case::new(format!("the offer {offer}"), frames).answered(TEXT, &message);
        case.refused(1002).offering(offer, None)
    };
    good.map(|(offer, answer)| compressed(offer, answer)).into_iter().chain(bad.map(plain)).collect()
}

fn messages() -> Vec<Case> {
    let mut cases = Vec::new();
    for len in [0, 1, 16, 64, 256, 1024, 4096, 8192, 32768, 65536, 131072] {
        for (kind, opcode) in [("text", TEXT), ("binary", BINARY)] {
            let message = text(len);
            for level in [0, 1, 9] {
                let frame = frame_of(FIN | RSV1 | opcode, &deflated(&message, level));
                let case = Case::new(format!("{kind} of {len} bytes at level {level}"), [frame]);
                let [whole, _, chopped] = granted(case.answered(opcode, &message)).in_all_cuts();
                cases.extend([whole, chopped]);
            }
        }
    }
    let both = Case::new(
        "compressed and plain, one after the other",
        [
            frame_of(FIN | RSV1 | TEXT, &deflated(b"one", 6)),
            frame_of(FIN | TEXT, b"two"),
            frame_of(FIN | RSV1 | BINARY, &deflated(b"three", 6)),
            frame_of(FIN | BINARY, b"four"),
        ],
    );
    let both = both.answered(TEXT, b"one").answered(TEXT, b"two");
    cases.extend(granted(both.answered(BINARY, b"three").answered(BINARY, b"four")).in_all_cuts());
    for (what, payload) in [
        ("two blocks", &b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"[..]),
        ("a block that is not compressed", b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"),
        ("a final block", b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"),
    ] {
        let case = Case::new(what, [frame_of(FIN | RSV1 | TEXT, payload)]).answered(TEXT, b"Hello");
        cases.extend(granted(case).in_all_cuts());
    }
    cases
}

fn fragments() -> Vec<Case> {
    let mut cases = Vec::new();
    let message = text(20_000);
    for (kind, opcode) in [("text", TEXT), ("binary", BINARY)] {
        for size in [1000, 3000] {
            let payload = deflated(&message, 6);
            let count = payload.chunks(size).count();
            let frames = payload.chunks(size).enumerate().flat_map(|(n, piece)| {
                let first = if n == 0 { RSV1 | opcode } else { CONTINUATION };
                let last = if n + 1 == count { FIN } else { 0 };
                [frame_of(first | last, piece), frame_of(FIN | PONG, b"unasked")]
            });
            let case = Case::new(format!("compressed {kind} in fragments of {size}"), frames);
            cases.extend(granted(case.answered(opcode, &message)).in_all_cuts());
        }
        let (front, back) = (deflated(b"Hello, hello", 6), frame_of(FIN | PING, b"?"));
        let frames = [
            frame_of(RSV1 | opcode, b""),
            back,
            frame_of(CONTINUATION, &front[..4]),
            frame_of(FIN | CONTINUATION, &front[4..]),
        ];
        let case = Case::new(format!("a ping inside of compressed {kind}"), frames);
        cases.extend(granted(case.answered(PONG, b"?").answered(opcode, b"Hello, hello")).in_all_cuts());
    }
    cases
}

fn violations() -> Vec<Case> {
    let hello = deflated(b"Hello, hello, hello", 6);
    let bit = |what: &str, frames: Vec<Vec<u8>>| granted(Case::new(what, frames).refused(1002));
    let data = |what: &str, payload: &[u8]| {
        granted(Case::new(what, [frame_of(FIN | RSV1 | TEXT, payload)]).refused(1007)).in_all_cuts()
    };
    let mut cases = vec![
        bit("a compressed ping", vec![frame_of(FIN | RSV1 | PING, b"")]),
        bit("a compressed pong", vec![frame_of(FIN | RSV1 | PONG, b"")]),
        bit("a compressed close frame", vec![frame_of(FIN | RSV1 | CLOSE, b"\x03\xe8")]),
        bit(
            "the bit on a later fragment",
            vec![frame_of(RSV1 | TEXT, &hello[..3]), frame_of(FIN | RSV1 | CONTINUATION, &hello[3..])],
        ),
        bit(
            "the bit on a later fragment alone",
            vec![frame_of(TEXT, b"plain"), frame_of(FIN | RSV1 | CONTINUATION, &hello)],
        ),
        bit("another reserved bit", vec![frame_of(FIN | 0x20 | TEXT, &hello)]),
        bit("all reserved bits", vec![frame_of(FIN | 0x70 | TEXT, &hello)]),
    ];
    cases.extend(data("no deflate", b"no deflate"));
    cases.extend(data("cut off", &hello[..hello.len() - 1]));
    cases.extend(data("no UTF-8 inside", &deflated(b"caf\xe9", 6)));
    cases.extend(data("half a character at the end", &deflated(b"half \xe2\x82", 6)));
    cases.extend(data("the tail that is left out", &[&hello[..], b"\0\0\xff\xff"].concat()));
    // Neither side remembers anything: that was agreed on.
    let again = [&hello[..], b"\xf2\x00\x11\x00\x00"].map(|payload| frame_of(FIN | RSV1 | TEXT, payload));
    let again = Case::new("a reference to the message before", again).answered(TEXT, b"Hello, hello, hello");
    cases.extend(granted(again.refused(1007)).in_all_cuts());
    cases
}

fn bombs() -> Vec<Case> {
    let mut cases = Vec::new();
    for (what, len, inside) in
        [("at the limit", LIMIT, true), ("over the limit", LIMIT + 1, false), ("a bomb", 4 << 20, false)]
    {
        let message = vec![b'0'; len];
        let payload = deflated(&message, 9);
        let (front, back) = payload.split_at(payload.len() / 2);
        let whole = Case::new(what, [frame_of(FIN | RSV1 | TEXT, &payload)]);
        let pieces = Case::new(
            format!("{what}, in fragments"),
            [frame_of(RSV1 | TEXT, front), frame_of(FIN | CONTINUATION, back)],
        );
        for case in [whole, pieces] {
            cases.push(granted(if inside { case.answered(TEXT, &message) } else { case.refused(1009) }));
        }
    }
    cases
}
