//! A handler that does not compile is told why, by a message of its own for each mistake.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What an application begins with.
const PROLOGUE: &str = "
    #![allow(unused, unreachable_code)]
    use keywire::handler::HandlerError;
    use keywire::{Envelope, HandlerResult, Reply, Session, Switch};
    use keywire::session::Closed;
    use std::rc::Rc;
    use std::sync::Arc;

    pub struct NotJson;
    pub struct NoHandler;
    pub struct Shop;
    async fn good(_: Session, _: Envelope) -> HandlerResult { Ok(Reply::none()) }
";

/// A mistake, what the compiler says of it first, and what else it says.
const MISTAKES: [(&str, &str, &[&str]); 22] = [
    (
        "fn handler(_: Session, _: Envelope) -> HandlerResult { Ok(Reply::none()) }
         pub fn main() { let _ = Switch::new().command(handler); }",
        "error[E0277]: `Result<Reply, HandlerError>` is not a future",
        &["required by a bound in `Switch::<S>::command`"],
    ),
    (
        "async fn handler(_: Envelope, _: Session) -> HandlerResult { Ok(Reply::none()) }
         pub fn main() { let _ = Switch::new().inform(handler); }",
        "{handler}` is not a message handler: its arguments are not those of one",
        &["by value and in this order: an `Arc` of the switch's state if it uses it, a `Session`, then an `Envelope`"],
    ),
    (
        "async fn handler(_: Session) -> HandlerResult { Ok(Reply::none()) }
         pub fn main() { let _ = Switch::new().on(\"x\", handler); }",
        "{handler}` is not a message handler: its arguments are not those of one",
        &["expected `async fn(Session, T)`, `async fn(Arc<State>, Session, T)` or a `MessageHandler`"],
    ),
    (
        "async fn handler(_: Session, _: Envelope, _: u8) -> HandlerResult { Ok(Reply::none()) }
         pub fn main() { let _ = Switch::new().unknown(handler); }",
        "{handler}` is not a message handler: its arguments are not those of one",
        &["a handler function takes by value"],
    ),
    (
        "async fn handler(_: &Session, _: Envelope) -> HandlerResult { Ok(Reply::none()) }
         pub fn main() { let _ = Switch::new().command(handler); }",
        "{handler}` is not a message handler: its arguments are not those of one",
        &["by value"],
    ),
    (
        "pub fn main() { let _ = Switch::new().command(NoHandler); }",
        "`NoHandler` is not a message handler",
        &["or a `MessageHandler`"],
    ),
    (
        "async fn handler(_: Session, _: NotJson) -> HandlerResult { Ok(Reply::none()) }
         pub fn main() { let _ = Switch::new().command(handler); }",
        "NotJson: serde::Deserialize<'de>` is not satisfied",
        &["#[derive(serde::Deserialize)]"],
    ),
    (
        "async fn handler(_: Session, _: Envelope) -> Reply { Reply::none() }
         pub fn main() { let _ = Switch::new().command(handler); }",
        "to be a future that resolves to `Result<_, HandlerError>`, but it resolves to `Reply`",
        &[],
    ),
    (
        "async fn handler(_: Session, _: Envelope) -> Result<Reply, String> { Ok(Reply::none()) }
         pub fn main() { let _ = Switch::new().command(handler); }",
        "to be a future that resolves to `Result<_, HandlerError>`, but it resolves to `Result<Reply, String>`",
        &[],
    ),
    (
        "async fn handler(_: Session, _: Envelope) -> Result<String, HandlerError> { Ok(String::new()) }
         pub fn main() { let _ = Switch::new().command(handler); }",
        "`Reply: From<String>` is not satisfied",
        &["Push>`"],
    ),
    (
        "async fn handler(session: Session, envelope: Envelope) -> HandlerResult {
             let rc = Rc::new(1);
             good(session, envelope).await?;
             drop(rc);
             Ok(Reply::none())
         }
         pub fn main() { let _ = Switch::new().command(handler); }",
        "error: future cannot be sent between threads safely",
        &["has type `Rc<i32>` which is not `Send`", "await occurs here"],
    ),
    (
        "pub fn main() {
             let rc = Rc::new(1);
             let _ = Switch::new().command(move |_: Session, _: Envelope| { let _ = &rc; async { Ok(()) } });
         }",
        "`Rc<i32>` cannot be sent between threads safely",
        &["within this"],
    ),
    (
        "pub fn main() {
             let name = String::new();
             let _ = Switch::new().command(move |_: Session, _: Envelope| async move { drop(name); Ok(()) });
         }",
        "expected a closure that implements the `Fn` trait, but this closure only implements `FnOnce`",
        &["because it moves the variable `name` out of its environment"],
    ),
    (
        "pub fn main() {
             let name = String::new();
             let _ = Switch::new().command(|_: Session, _: Envelope| { let _ = name.clone(); async { Ok(()) } });
         }",
        "closure may outlive the current function, but it borrows `name`",
        &["use the `move` keyword"],
    ),
    // A state that the switch does not have.
    (
        "async fn handler(_: Arc<Shop>, _: Session, _: Envelope) -> HandlerResult { Ok(Reply::none()) }
         pub fn main() { let _ = Switch::new().command(handler); }",
        "the function takes the state `Shop`, and the state of this switch is `()`",
        &["this needs `Switch::with` and a `Shop`", "`Switch::with(state)` gives a switch its state"],
    ),
    (
        "async fn handler(_: Arc<NotJson>, _: Session, _: Envelope) -> HandlerResult { Ok(Reply::none()) }
         pub fn main() { let _ = Switch::with(Shop).command(handler); }",
        "the function takes the state `NotJson`, and the state of this switch is `Shop`",
        &[],
    ),
    (
        "async fn handler(_: Shop, _: Session, _: Envelope) -> HandlerResult { Ok(Reply::none()) }
         pub fn main() { let _ = Switch::with(Shop).command(handler); }",
        "{handler}` is not a message handler: its arguments are not those of one",
        &["an `Arc` of the switch's state if it uses it"],
    ),
    (
        "async fn handler(_: Arc<Shop>, _: Session, _: NotJson) -> HandlerResult { Ok(Reply::none()) }
         pub fn main() { let _ = Switch::with(Shop).command(handler); }",
        "NotJson: serde::Deserialize<'de>` is not satisfied",
        &["#[derive(serde::Deserialize)]"],
    ),
    // Hooks.
    (
        "async fn hook(_: Session) {}
         pub fn main() { let _ = Switch::new().closed(hook); }",
        "{hook}` is not a hook of this kind: its arguments are not those of one",
        &["expected an async function of `(keywire::Session, keywire::session::Closed)`"],
    ),
    (
        "async fn hook(_: Arc<Shop>, _: Session, _: Closed) {}
         pub fn main() { let _ = Switch::new().closed(hook); }",
        "the function takes the state `Shop`, and the state of this switch is `()`",
        &[],
    ),
    (
        "async fn hook(_: Session) -> Reply { Reply::none() }
         pub fn main() { let _ = Switch::new().opened(hook); }",
        "to be a future that resolves to `Result<_, HandlerError>`, but it resolves to `Reply`",
        &[],
    ),
    (
        "async fn hook(session: Session, _: Closed) { let rc = Rc::new(1); good2().await; drop(rc); }
         async fn good2() {}
         pub fn main() { let _ = Switch::new().closed(hook); }",
        "error: future cannot be sent between threads safely",
        &["has type `Rc<i32>` which is not `Send`"],
    ),
];

#[test]
fn each_mistake_has_a_message_of_its_own() {
    let keywire = Keywire::find();
    let correct = "pub fn main() { let _ = Switch::new().command(good); }";
    let output = keywire.compile(correct);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for (mistake, first, others) in MISTAKES {
        let output = keywire.compile(mistake);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "it compiles: {mistake}");
        let line = said.lines().find(|line| line.starts_with("error")).unwrap_or_default();
        assert!(line.contains(first), "{mistake}\n{said}");
        // The compiler shortens a path whose last name is the only one of its kind in all crates that it sees.
        let plain = |text: &str| text.replace("keywire::session::Closed", "Closed");
        for other in others {
            assert!(plain(&said).contains(&plain(other)), "{other}: {mistake}\n{said}");
        }
    }
}

/// The library that this test is linked with.
struct Keywire(PathBuf);

impl Keywire {
    /// The one that was built last stands next to this test.
    fn find() -> Self {
        let test = std::env::current_exe().expect("this test");
        let files = std::fs::read_dir(test.parent().expect("a directory")).expect("a directory");
        let libraries = files.map(|file| file.expect("a file").path()).filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("libkeywire-") && name.ends_with(".rlib")
        });
        let built = |path: &PathBuf| path.metadata().and_then(|data| data.modified()).expect("a time");
        Self(libraries.max_by_key(built).expect("the library that this test uses"))
    }

    /// What the compiler says to a crate that uses it.
    fn compile(&self, source: &str) -> Output {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let file = directory.join("wrong_handler.rs");
        std::fs::write(&file, format!("{PROLOGUE}{source}")).expect("a file");
        let dependencies = self.0.parent().expect("a directory");
        Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
            .args(["--edition=2024", "--crate-type=lib", "--emit=metadata"])
            .arg(format!("--extern=keywire={}", self.0.display()))
            .arg(format!("-Ldependency={}", dependencies.display()))
            .arg("--out-dir")
            .arg(directory)
            .arg(&file)
            .output()
            .expect("rustc")
    }
}
