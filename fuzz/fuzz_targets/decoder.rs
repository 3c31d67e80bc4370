#![no_main]

use keywire::fuzz::{End, MAX, Owned};
use libfuzzer_sys::fuzz_target;

#[path = "../../src/fuzz/tungstenite.rs"]
mod tungstenite_server;

fuzz_target!(|data: &[u8]| keywire::fuzz::decoder(data, tungstenite_server::theirs));
