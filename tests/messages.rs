//! What a client says and what it gets for an answer, to the byte where a page would notice.
#![cfg(feature = "warp")]

mod support;

use std::ops::ControlFlow;

use keywire::adapter::Handshake;
use keywire::auth::RawKey;
use keywire::handler::handler_fn;
use keywire::message::{Code, Flag, Text};
use keywire::{Envelope, HandlerResult, Hub, MessageHandler, Push, Reply, Session, Switch, async_trait};
use serde::Deserialize;
use serde_json::{Value, json};
use support::{Client, Server};
use tokio_tungstenite::tungstenite::Message;

#[derive(Deserialize)]
struct Add {
    a: i64,
    b: i64,
}

async fn relay(session: Session, envelope: Envelope) -> HandlerResult {
    let push = Push::data(&envelope.body).with_flag(Flag::INFORM).with_sender(&envelope.sender);
    let delivery = match &envelope.reception {
        Some(to) => session.hub().send_to(to, push).await,
        None => session.hub().broadcast(push).await,
    };
    if delivery.is_absent() {
        return Ok(Reply::error(Code::ABSENT, "not connected"));
    }
    Ok(Reply::none())
}

fn switch() -> Switch {
    Switch::new()
        .command(|_: Session, add: Add| async move { Ok(Reply::data(add.a + add.b)) })
        .inform(relay)
        .on("echo", |_: Session, envelope: Envelope| async move { Ok(Push::data(envelope.body)) })
        .on("silent", |_: Session, _: Envelope| async { Ok(()) })
        .on(
            "other",
            handler_fn(|_: Session, envelope: Envelope| async move {
                Ok(Reply::ok(format!("a handler for {}", envelope.flag)))
            }),
        )
}

async fn server(handler: impl MessageHandler) -> Server {
    Server::start(Hub::builder(RawKey::from_path()).handler(handler).build()).await
}

#[tokio::test]
async fn the_flag_decides_who_handles_a_message() {
    let server = server(switch()).await;
    let mut alice = server.client("alice").await;
    for (envelope, answer) in [
        (json!({"flag": "command", "body": {"a": 2, "b": 3}}), json!({"code": "01", "msg": "", "data": 5})),
        (json!({"flag": "echo", "body": [1, "x"]}), json!({"code": "01", "msg": "", "data": [1, "x"]})),
        (json!({"flag": "echo"}), json!({"code": "01", "msg": "", "data": null})),
        (json!({"flag": "other"}), json!({"code": "00", "msg": "a handler for other"})),
    ] {
        assert_eq!(alice.ask(envelope.clone()).await, answer, "{envelope}");
    }
    // No answer is none: the next thing that comes is the pong.
    alice.send(json!({ "flag": "silent", "id": 1 })).await;
    alice.ping().await;
}

#[tokio::test]
async fn nobody_handles_an_unknown_flag_unless_told_to() {
    let server = server(switch()).await;
    let mut alice = server.client("alice").await;
    for flag in ["", "Command", "command ", "x", "kw", "kw:", "kw:nonsense", "kw:pong"] {
        let answer = alice.ask(json!({ "flag": flag, "id": 3 })).await;
        assert_eq!((&answer["code"], &answer["id"]), (&json!("44"), &json!(3)), "{flag:?}: {answer}");
    }

    let unknown = Switch::new().unknown(|_: Session, envelope: Envelope| async move {
        Ok(Reply::ok(envelope.flag.as_str().to_owned()))
    });
    let server = self::server(unknown).await;
    let mut alice = server.client("alice").await;
    assert_eq!(alice.ask(json!({ "flag": "inform" })).await["msg"], "inform");
    // keywire's own do not reach a handler, not even that one.
    assert_eq!(alice.ask(json!({ "flag": "kw:nonsense" })).await["code"], "44");
}

#[tokio::test]
async fn a_reply_carries_the_id_of_what_it_answers() {
    let server = server(switch()).await;
    let mut alice = server.client("alice").await;
    let sixty_four = "é".repeat(32);
    for id in [
        json!(7),
        json!(0),
        json!(-7),
        json!(9_007_199_254_740_991_i64),
        json!("seven"),
        json!("7"),
        json!(""),
        json!(sixty_four),
    ] {
        let answer = alice.ask(json!({ "flag": "echo", "id": id })).await;
        assert_eq!(answer["id"], id, "{answer}");
    }
    for none in [json!({ "flag": "echo" }), json!({ "flag": "echo", "id": null })] {
        assert_eq!(alice.ask(none).await.get("id"), None);
    }
}

#[tokio::test]
async fn keywires_ping_is_answered() {
    let server = server(switch()).await;
    let mut alice = server.client("alice").await;
    let pong = alice.ask(json!({ "flag": "kw:ping", "id": 5, "body": "ignored" })).await;
    assert_eq!(pong, json!({ "code": "00", "msg": "", "flag": "kw:pong", "id": 5 }));
    let pong = alice.ask(json!({ "flag": "kw:ping" })).await;
    assert_eq!(pong, json!({ "code": "00", "msg": "", "flag": "kw:pong" }));
}

#[tokio::test]
async fn the_sender_is_the_key_that_the_server_knows() {
    let server = server(switch()).await;
    let mut alice = server.client("alice").await;
    let mut bob = server.client("bob").await;
    for claimed in [json!("bob"), json!("eve"), json!(null), json!(5), json!({"a": 1})] {
        let envelope = json!({ "flag": "inform", "reception": "bob", "body": "hi", "sender": claimed });
        alice.send(envelope).await;
        let push = bob.next().await;
        let expected = json!({ "code": "01", "msg": "", "data": "hi", "flag": "inform", "sender": "alice" });
        assert_eq!(push, expected, "claimed {claimed}");
    }
    // Nobody in particular is everyone here, oneself too.
    for reception in [json!(null), json!("")] {
        alice.send(json!({ "flag": "inform", "reception": reception })).await;
        assert_eq!(alice.next().await["sender"], "alice");
        assert_eq!(bob.next().await["sender"], "alice");
    }
    let answer = alice.ask(json!({ "flag": "inform", "reception": "carol", "id": 1 })).await;
    assert_eq!(answer, json!({ "code": "45", "msg": "not connected", "id": 1 }));
}

#[tokio::test]
async fn a_body_of_another_type_is_malformed() {
    let server = server(switch()).await;
    let mut alice = server.client("alice").await;
    for (number, body) in [
        json!(null),
        json!("text"),
        json!({"a": 1}),
        json!({"a": 1, "b": "2"}),
        json!({"a": 1, "b": 1.5}),
        json!([]),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = alice.ask(json!({ "flag": "command", "body": body, "id": number })).await;
        assert_eq!((&answer["code"], &answer["id"]), (&json!("40"), &json!(number)), "{body}: {answer}");
        assert!(answer["msg"].as_str().is_some_and(|msg| msg.starts_with("body: ")), "{answer}");
    }
    let long = "x".repeat(10_000);
    let answer = alice.ask(json!({ "flag": "command", "body": long })).await;
    assert!(answer.to_string().len() < 400, "the client's own text comes back whole: {answer}");
    assert_eq!(alice.ask(json!({"flag": "command", "body": {"a": 1, "b": 1}})).await["data"], 2);
}

/// Sends what is no envelope and expects to hear so, and that the connection is as good as before.
async fn malformed(alice: &mut Client, text: &str, id: Option<Value>) {
    alice.text(text).await;
    let answer = alice.next().await;
    let about: String = text.chars().take(80).collect();
    assert_eq!(answer["code"], "40", "{about}: {answer}");
    assert!(answer["msg"].as_str().is_some_and(|msg| !msg.is_empty()), "{about}: {answer}");
    assert_eq!(answer.get("id").cloned(), id, "{about}: {answer}");
    let names: Vec<_> = answer.as_object().expect("an object").keys().collect();
    assert!(names.iter().all(|name| ["code", "msg", "id"].contains(&name.as_str())), "{about}: {answer}");
    assert_eq!(alice.ask(json!({ "flag": "echo", "body": 1 })).await["data"], 1, "after {about}");
}

#[tokio::test]
async fn what_is_no_envelope_is_malformed_and_the_connection_stays() {
    let server = server(switch()).await;
    let mut alice = server.client("alice").await;
    let alice = &mut alice;

    for not_json in
        ["", " ", "{", "hello", "{'flag':'x'}", r#"{"flag":"x",}"#, r#"{"flag":"x"} more"#, "\u{feff}{}"]
    {
        malformed(alice, not_json, None).await;
    }
    for no_object in ["null", "true", "5", r#""command""#, "[]", r#"[{"flag":"x"}]"#] {
        malformed(alice, no_object, None).await;
    }
    // As many values as an envelope has fields, in their order.
    malformed(alice, r#"["echo",null,null,7,null]"#, None).await;

    let id = || Some(json!(7));
    for flag in
        ["", r#""flag":null,"#, r#""flag":5,"#, r#""flag":["x"],"#, r#""flag":{},"#, r#""flag":true,"#]
    {
        malformed(alice, &format!(r#"{{{flag}"id":7}}"#), id()).await;
    }
    let long = format!("\"{}\"", "k".repeat(257));
    for reception in ["5", "[]", "{}", "true", r#""\u0000""#, r#""two\nlines""#, &long] {
        malformed(alice, &format!(r#"{{"flag":"echo","reception":{reception},"id":7}}"#), id()).await;
    }
    let long = format!("\"{}\"", "i".repeat(65));
    for bad in ["1.5", "true", "[]", "{}", "9007199254740992", "-9007199254740992", "1e400", &long] {
        malformed(alice, &format!(r#"{{"flag":"echo","id":{bad}}}"#), None).await;
    }
    for field in ["body", "sender", "more"] {
        let deep = format!(r#"{{"flag":"echo","id":7,"{field}":{}{}}}"#, "[".repeat(64), "]".repeat(64));
        malformed(alice, &deep, id()).await;
    }
    malformed(alice, &format!(r#"{{"flag":"echo","id":7,"body":{}"#, "[".repeat(60_000)), None).await;
    malformed(alice, r#"{"flag":"echo","flag":"command"}"#, None).await;

    // 64 deep, the envelope counted, is not too deep; unknown fields are nobody's business.
    let deep = format!(r#"{{"flag":"silent","body":{}{},"more":[{{}}]}}"#, "[".repeat(63), "]".repeat(63));
    alice.text(&deep).await;
    alice.ping().await;
}

#[tokio::test]
async fn a_binary_frame_is_malformed_unless_a_handler_wants_it() {
    let server = server(switch()).await;
    let mut alice = server.client("alice").await;
    for bytes in [&b""[..], b"\xff\x00", br#"{"flag":"echo"}"#] {
        alice.message(Message::binary(bytes.to_vec())).await;
        assert_eq!(alice.next().await["code"], "40");
    }
    alice.ping().await;
}

/// The hooks that come before the envelope.
struct Hooks;

#[async_trait]
impl MessageHandler for Hooks {
    async fn text(
        &self,
        _: &Session,
        text: Text,
    ) -> Result<ControlFlow<Reply, Text>, keywire::handler::HandlerError> {
        Ok(match text.strip_prefix("shout ") {
            Some(rest) => ControlFlow::Break(Reply::ok(rest.to_uppercase())),
            None if text.starts_with('x') => ControlFlow::Continue(Text::from(&text[1..])),
            None => ControlFlow::Continue(text),
        })
    }

    async fn binary(&self, _: &Session, bytes: bytes::Bytes) -> HandlerResult {
        Ok(Reply::from(keywire::message::Frame::binary(&[&bytes[..], b"!"].concat())))
    }

    async fn inform(&self, _: &Session, envelope: Envelope) -> HandlerResult {
        Ok(Reply::data(envelope.parse::<String>()?))
    }
}

#[tokio::test]
async fn hooks_may_take_or_change_a_frame_before_it_is_an_envelope() {
    let server = server(Hooks).await;
    let mut alice = server.client("alice").await;
    alice.text("shout hello").await;
    assert_eq!(alice.next().await, json!({ "code": "00", "msg": "HELLO" }));
    alice.text(r#"x{"flag":"inform","body":"b","id":1}"#).await;
    assert_eq!(alice.next().await, json!({ "code": "01", "msg": "", "data": "b", "id": 1 }));
    alice.message(Message::binary(&b"\x00\xff"[..])).await;
    assert_eq!(alice.receive().await, Message::binary(&b"\x00\xff!"[..]));
    alice.text("neither").await;
    assert_eq!(alice.next().await["code"], "40");
    assert_eq!(alice.ask(json!({ "flag": "command" })).await["code"], "44");
}

#[tokio::test]
async fn what_an_extractor_knows_reaches_the_handler() {
    #[derive(Clone)]
    struct Plan(String);
    let keys = keywire::auth::extract_fn(|handshake: Handshake| async move {
        let plan = handshake.query("plan")?.ok_or(keywire::auth::Rejection::Missing)?;
        let key = keywire::Key::new("alice").map_err(|_| keywire::auth::Rejection::Malformed)?;
        Ok(keywire::Identity::new(key).with(Plan(plan)))
    });
    let plan = |session: Session, _: Envelope| async move {
        let identity = session.identity();
        Ok(Reply::data(identity.get::<Plan>().map(|plan| plan.0.clone())))
    };
    let server = Server::start(Hub::builder(keys).handler(Switch::new().command(plan)).build()).await;
    let mut alice = server.open("/websocket?plan=gold%20one").await;
    assert_eq!(alice.ask(json!({ "flag": "command" })).await["data"], "gold one");
}
