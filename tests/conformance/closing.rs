//! Close frames, good and bad, and what comes after them.

use crate::case::{CONTINUATION, Case, Class, FIN, PING, TEXT, frame_of};
use crate::patient;
use crate::support::CLOSE;

fn close(payload: impl AsRef<[u8]>) -> Vec<u8> {
    frame_of(FIN | CLOSE, payload.as_ref())
}

fn coded(code: u16, reason: impl AsRef<[u8]>) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_ref()].concat()
}

pub(crate) fn class() -> Class {
    let mut cases = Vec::new();
    cases.extend(Case::new("no code", [close(b"")]).closed(b"").in_all_cuts());
    for code in
        [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
    {
        let payload = coded(code, "");
        cases.extend(Case::new(format!("code {code}"), [close(&payload)]).closed(&payload).in_all_cuts());
    }
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 32768, 65535] {
        for reason in ["", "why"] {
            let case =
                Case::new(format!("code {code} with the reason {reason:?}"), [close(coded(code, reason))]);
            cases.extend(case.refused(1002).in_all_cuts());
        }
    }
    for (what, reason) in
        [("a short reason", "bye".to_owned()), ("a reason of 123 bytes", "ö".repeat(61) + "!")]
    {
        let payload = coded(1000, reason);
        cases.extend(Case::new(what, [close(&payload)]).closed(&payload).in_all_cuts());
    }
    cases.extend(Case::new("half a code", [close(b"\x03")]).refused(1002).in_all_cuts());
    cases.extend(
        Case::new("a reason of 124 bytes", [close(coded(1000, [b'x'; 124]))]).refused(1002).in_all_cuts(),
    );
    for reason in [&b"\xff"[..], b"\xce\xba\xed\xa0\x80", b"cut \xe2\x82"] {
        let case = Case::new(format!("the reason {reason:02x?}"), [close(coded(1000, reason))]);
        cases.extend(case.refused(1007).in_all_cuts());
    }

    let payload = coded(1000, "");
    for (what, behind) in [
        ("a text", vec![frame_of(FIN | TEXT, b"late")]),
        ("a ping", vec![frame_of(FIN | PING, b"late")]),
        ("another close frame", vec![close(coded(1001, "late"))]),
        ("what is no frame", vec![vec![0xff; 100]]),
        ("a great deal", vec![frame_of(FIN | TEXT, &[b'.'; 20_000])]),
    ] {
        let frames = [vec![close(&payload)], behind].concat();
        cases.push(Case::new(format!("{what} behind the close frame"), [frames.concat()]).closed(&payload));
    }
    let before = [frame_of(FIN | TEXT, b"one"), frame_of(FIN | TEXT, b"two"), close(&payload)];
    let before =
        Case::new("texts before the close frame", before).answered(TEXT, b"one").answered(TEXT, b"two");
    cases.extend(before.closed(&payload).in_all_cuts());
    let inside = [frame_of(TEXT, b"begun"), close(&payload), frame_of(FIN | CONTINUATION, b" and ended")];
    cases.push(Case::new("a close frame inside of a message", [inside.concat()]).closed(&payload));
    Class { name: "closing", count: 165, config: patient(), cases }
}
