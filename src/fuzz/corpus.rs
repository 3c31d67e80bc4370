//! Runs the committed inputs of the fuzzer as a plain test.

use std::path::Path;
use std::{fs, panic};

fn each(target: &str, run: impl Fn(&[u8]) + panic::RefUnwindSafe) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let input = fs::read(&file).unwrap();
        // The panic message does not name the file.
        assert!(panic::catch_unwind(|| run(&input)).is_ok(), "{}", file.display());
    }
}

#[test]
fn decoder() {
    each("decoder", |data| super::decoder(data, super::tungstenite::theirs));
}

#[test]
fn envelope() {
    each("envelope", super::envelope);
}

#[test]
#[cfg(feature = "deflate")]
fn inflater() {
    each("inflater", super::inflater);
}

#[test]
fn form() {
    each("form", super::form);
}

#[test]
#[cfg(feature = "redis")]
fn resp() {
    each("resp", super::resp);
}

#[test]
#[cfg(feature = "nats")]
fn wire() {
    each("wire", super::wire);
}

#[test]
fn opening() {
    each("opening", super::opening);
}

#[test]
#[cfg(feature = "serve")]
fn head() {
    each("head", super::head);
}
