//! Encoding of pushes as frames.

use divan::{Bencher, black_box};
use keywire::Push;
use keywire::message::{Frame, Json};

fn main() {
    divan::main();
}

#[divan::bench(args = [32, 1024, 65_536])]
fn a_text(bencher: Bencher<'_, '_>, len: usize) {
    let push = Push::message("x".repeat(len));
    bencher.bench(|| Frame::push(black_box(&push)));
}

#[divan::bench(args = [32, 1024, 65_536])]
fn data_that_is_json(bencher: Bencher<'_, '_>, len: usize) {
    let data = Json::new(&"x".repeat(len)).expect("a text is JSON");
    let push = Push::new("01", "").with_json(data).with_flag("inform");
    bencher.bench(|| Frame::push(black_box(&push)));
}

#[divan::bench]
fn data_of_a_type(bencher: Bencher<'_, '_>) {
    bencher.bench(|| Frame::push(&Push::data(black_box([1, 2, 3]))));
}

#[divan::bench(args = [32, 1024, 65_536])]
fn text_as_it_is(bencher: Bencher<'_, '_>, len: usize) {
    let text = "x".repeat(len);
    bencher.bench(|| Frame::text(black_box(&text)));
}
