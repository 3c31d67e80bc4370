//! The README's server is a program that is built and run: `browser/readme.test.js` opens its page.

const README: &str = include_str!("../README.md");
const PROGRAM: &str = include_str!("../examples/hello.rs");

#[test]
fn the_server_is_the_example() {
    let (_, code) = PROGRAM.split_once("\n\n").expect("a head");
    assert!(
        README.contains(&format!("```rust,no_run\n{code}```\n")),
        "examples/hello.rs and README.md differ"
    );
}

#[test]
fn the_browser_client_is_the_file() {
    assert_eq!(keywire::adapter::BROWSER_CLIENT, include_str!("../client/keywire.js"));
}
