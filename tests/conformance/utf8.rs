//! What is UTF-8 and what is not, and that the latter is refused by the byte that shows it.

use std::str::from_utf8;

use crate::case::{CONTINUATION, Case, Class, FIN, TEXT, frame_of};
use crate::patient;

/// Texts on both sides of every border in Unicode.
fn valid() -> Vec<(String, Vec<u8>)> {
    let borders = [
        0, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xfeff, 0xfffd, 0xfffe, 0xffff, 0x1_0000, 0xf_ffff,
        0x10_0000, 0x10_ffff,
    ];
    // The last two of each plane are no characters, but they are text.
    let planes = (1..=16_u32).flat_map(|plane| [plane << 16 | 0xfffe, plane << 16 | 0xffff]);
    let points = borders.into_iter().chain(planes.filter(|point| !borders.contains(point)));
    let each = points.map(|point| {
        let character = char::from_u32(point).expect("no surrogate");
        (format!("U+{point:04X}"), character.to_string().into_bytes())
    });
    let words = ["Größe", "κόσμε", "สวัสดี", "日本語", "👩‍🚀 and e\u{301}"];
    each.chain(words.map(|word| (word.to_owned(), word.as_bytes().to_vec()))).collect()
}

/// What is none, each with its name.
fn invalid() -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let mut add = |what: &str, bytes: &[u8]| all.push((format!("{what} {bytes:02x?}"), bytes.to_vec()));
    for len in 1..=7 {
        add("continuations alone", &[0x80, 0xbf, 0x80, 0xbf, 0x80, 0xbf, 0x80][..len]);
    }
    add("the last continuation alone", &[0xbf]);
    for first in [0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xef, 0xf0, 0xf4, 0xf5, 0xf7, 0xf8, 0xfb, 0xfc, 0xfd] {
        add("a start without anything", &[first, b' ']);
    }
    for bytes in [&[0xfe][..], &[0xff], &[0xfe, 0xfe, 0xff, 0xff]] {
        add("bytes that are never there", bytes);
    }
    for bytes in [
        &[0xc0, 0xaf][..],
        &[0xe0, 0x80, 0xaf],
        &[0xf0, 0x80, 0x80, 0xaf],
        &[0xf8, 0x80, 0x80, 0x80, 0xaf],
        &[0xfc, 0x80, 0x80, 0x80, 0x80, 0xaf],
        &[0xc1, 0xbf],
        &[0xe0, 0x9f, 0xbf],
        &[0xf0, 0x8f, 0xbf, 0xbf],
        &[0xf8, 0x87, 0xbf, 0xbf, 0xbf],
        &[0xc0, 0x80],
        &[0xe0, 0x80, 0x80],
        &[0xf0, 0x80, 0x80, 0x80],
    ] {
        add("longer than need be", bytes);
    }
    for bytes in [
        &[0xed, 0xa0, 0x80][..],
        &[0xed, 0xad, 0xbf],
        &[0xed, 0xae, 0x80],
        &[0xed, 0xaf, 0xbf],
        &[0xed, 0xb0, 0x80],
        &[0xed, 0xbf, 0xbf],
        &[0xed, 0xa0, 0x80, 0xed, 0xb0, 0x80],
        &[0xed, 0xaf, 0xbf, 0xed, 0xbf, 0xbf],
    ] {
        add("a surrogate", bytes);
    }
    for bytes in [&[0xf4, 0x90, 0x80, 0x80][..], &[0xf7, 0xbf, 0xbf, 0xbf], &[0xfb, 0xbf, 0xbf, 0xbf, 0xbf]] {
        add("beyond Unicode", bytes);
    }
    for bytes in [&[0xe2, 0x82, b'!'][..], &[0xf0, 0x9f, 0x98, b'!'], &[0xc3, 0xc3, 0xb6]] {
        add("a character that breaks off", bytes);
    }
    all
}

/// Characters that end too early, with the message.
const CUT: [&[u8]; 8] = [
    &[0xc3],
    &[0xe2],
    &[0xe2, 0x82],
    &[0xf0],
    &[0xf0, 0x9f],
    &[0xf0, 0x9f, 0x98],
    &[0xed, 0x9f],
    &[0xf4, 0x8f, 0xbf],
];

/// How much of it must be there for it to be wrong whatever follows.
fn wrong_at(bytes: &[u8]) -> usize {
    (1..=bytes.len())
        .find(|&len| from_utf8(&bytes[..len]).is_err_and(|error| error.error_len().is_some()))
        .expect("no UTF-8")
}

pub(crate) fn class() -> Class {
    let mut cases = Vec::new();
    for (what, text) in valid() {
        let whole = Case::new(&*what, [frame_of(FIN | TEXT, &text)]);
        let [whole, _, chopped] = whole.answered(TEXT, &text).in_all_cuts();
        cases.extend([whole, chopped]);
        let bytes = text.chunks(1).map(|byte| frame_of(CONTINUATION, byte));
        let frames = [vec![frame_of(TEXT, b"")], bytes.collect(), vec![frame_of(FIN, b"")]].concat();
        cases.push(Case::new(format!("{what}, in fragments of a byte"), frames).answered(TEXT, &text));
    }
    for (what, bytes) in invalid() {
        let text = [b"Hello ", &bytes[..]].concat();
        let wrong = 6 + wrong_at(&bytes);
        let [whole, _, chopped] =
            Case::new(&*what, [frame_of(FIN | TEXT, &text)]).refused(1007).in_all_cuts();
        cases.extend([whole, chopped]);

        // Nothing more is sent than this. Who waits for the rest waits for ever.
        let fragment =
            Case::new(format!("{what}, and fragments would follow"), [frame_of(TEXT, &text[..wrong])]);
        cases.push(fragment.refused(1007));
        let second = Case::new(
            format!("{what}, in a second fragment"),
            [frame_of(TEXT, &text[..wrong - 1]), frame_of(CONTINUATION, &text[wrong - 1..wrong])],
        );
        cases.push(second.refused(1007));
        let long = frame_of(FIN | TEXT, &[&text[..wrong], &[b'.'; 1000]].concat());
        let unfinished = long[..8 + wrong].to_vec();
        cases.push(Case::new(format!("{what}, and the frame would go on"), [unfinished]).refused(1007));
    }
    for bytes in CUT {
        let text = [b"Hello ", bytes].concat();
        let [whole, _, chopped] = Case::new(format!("cut off {bytes:02x?}"), [frame_of(FIN | TEXT, &text)])
            .refused(1007)
            .in_all_cuts();
        let fragments = [frame_of(TEXT, &text), frame_of(FIN | CONTINUATION, b"")];
        let fragments = Case::new(format!("cut off {bytes:02x?} in fragments"), fragments).refused(1007);
        cases.extend([whole, chopped, fragments]);
    }
    Class { name: "utf8", count: 429, config: patient(), cases }
}
