use super::*;
use crate::delivery::Position;
use crate::group::Group;
use crate::key::Key;
use crate::message::Push;

const NODE: NodeId = NodeId::from_bits(0x0102_0304_0506_0708);

fn key() -> Key {
    Key::new("alice").unwrap()
}

fn orders() -> Vec<Order> {
    let push = Push::message("a b").to_json();
    let entry = Entry {
        at: Position::new(2, 0xab),
        prev: Position::new(1, u64::MAX),
        time: 1_764_000_000_000,
        push: Text::from(push.as_str()),
    };
    vec![
        Order::Deliver(Frame::push(&Push::message("x"))),
        Order::Deliver(Frame::binary(&[0; 70_000])),
        Order::Keep(Box::new(entry)),
        Order::Close(CloseCode::DISCONNECTED, "go".into()),
        Order::Close(CloseCode::NORMAL, "".into()),
        Order::CatchUp,
    ]
}

#[test]
fn what_is_encoded_is_decoded() {
    let (id, other) = (SessionId::next(), SessionId::next());
    let group = Group::new("room").unwrap();
    for (topic, target) in [
        (Topic::key(&key()), Target::Key(key())),
        (Topic::key(&key()), Target::Session(key(), id)),
        (Topic::group(&group), Target::Group(group.clone())),
        (Topic::ALL, Target::Everyone),
    ] {
        for except in [None, Some(other)] {
            for order in orders() {
                let to = Recipients { target: target.clone(), except };
                let older_than = except.map(|session| Seniority { since: 1_764_000_000_000, session });
                let message = encode(NODE, &to, &order, older_than);
                let content = Content::Order { to, order, older_than };
                assert_eq!(decode(&topic, message), Some(Received { node: NODE, content }));
            }
        }
    }
}

/// Another version must read these bytes.
#[test]
fn the_form_is_fixed() {
    let to = Recipients { target: Target::Session(key(), SessionId::from_bits(1)), except: None };
    let message = encode(NODE, &to, &Order::Close(CloseCode::DISCONNECTED, "go".into()), None);
    let mut expected = vec![1, 3, 1, 2, 3, 4, 5, 6, 7, 8, 1, 16];
    expected.extend([0; 15]);
    expected.extend([1, 0, 0x11, 0x99, b'g', b'o']);
    assert_eq!(message, expected);
    let Order::Keep(entry) = &orders()[2] else { panic!("a kept push") };
    let kept = encode(NODE, &Recipients::key(key()), &orders()[2], None);
    let line = r#"2.00000000000000ab 1.ffffffffffffffff 1764000000000 {"code":"00","msg":"a b"}"#;
    assert_eq!(kept, [b"\x01\x02\x01\x02\x03\x04\x05\x06\x07\x08\0", line.as_bytes()].concat());
    assert_eq!(line.split_once("000 ").unwrap().1, &*entry.push);
}

#[test]
fn a_question_and_its_answer() {
    let (group, one) = (Group::new("room").unwrap(), SessionId::from_bits(1));
    let question = Question { subject: 1, body: Bytes::from_static(b"who?") };
    for (topic, target) in [
        (Topic::key(&key()), Target::Key(key())),
        (Topic::key(&key()), Target::Session(key(), one)),
        (Topic::group(&group), Target::Group(group.clone())),
        (Topic::ALL, Target::Everyone),
    ] {
        let to = Recipients { target, except: None };
        let message = encode_question(NODE, &to, 7, &question);
        let content = Content::Question { to, id: 7, question: question.clone() };
        assert_eq!(decode(&topic, message.clone()), Some(Received { node: NODE, content }));
        assert_eq!(decode(&Topic::node(NODE), message), None, "a question is about sessions");
    }
    let answer = encode_answer(NODE, 7, b"me");
    assert_eq!(answer, b"\x01\x06\x01\x02\x03\x04\x05\x06\x07\x08\0\0\0\0\0\0\0\0\x07me".as_slice());
    let content = Content::Answer { id: 7, body: Bytes::from_static(b"me") };
    assert_eq!(decode(&Topic::node(NODE), answer.clone()), Some(Received { node: NODE, content }));
    for cut in 0..answer.len() - 2 {
        assert_eq!(decode(&Topic::node(NODE), answer.slice(..cut)), None);
    }
    let order = encode(NODE, &Recipients::everyone(), &Order::CatchUp, None);
    assert_eq!(decode(&Topic::node(NODE), order), None, "an order is for sessions");
}

#[test]
fn a_later_version_may_add_fields_that_are_skipped() {
    let mut message = b"\x01\x04\x01\x02\x03\x04\x05\x06\x07\x08\x80\x02ab\0".to_vec();
    let received = decode(&Topic::ALL, message.clone().into()).unwrap();
    let content = Content::Order { to: Recipients::everyone(), order: Order::CatchUp, older_than: None };
    assert_eq!(received, Received { node: NODE, content });
    message[10] = 0x7f;
    assert_eq!(decode(&Topic::ALL, message.into()), None, "a field that must be understood");
}

/// Another node is trusted, and yet nothing that arrives may panic or be taken for something else.
#[test]
fn what_is_not_valid_is_refused() {
    let to =
        Recipients { target: Target::Session(key(), SessionId::next()), except: Some(SessionId::next()) };
    for order in orders() {
        let whole = encode(NODE, &to, &order, None);
        for cut in 0..whole.len().min(200) {
            let part = decode(&Topic::key(&key()), whole.slice(..cut));
            let reason_is_cut = matches!(order, Order::Close(..)) && part.is_some();
            assert!(part.is_none() || reason_is_cut, "{order:?} cut to {cut} bytes");
        }
        for (at, byte) in [(0, 0), (0, 2), (1, 0), (1, 99), (10, 3), (11, 15), (11, 255)] {
            let mut wrong = whole.to_vec();
            wrong[at] = byte;
            assert_eq!(decode(&Topic::key(&key()), wrong.into()), None, "{order:?} with {byte} at {at}");
        }
    }
    let one = encode(NODE, &to, &Order::CatchUp, None);
    assert_eq!(decode(&Topic::ALL, one), None, "a session needs a key");
    for body in
        ["", "1.00 0.00 1 {}", "1.00000000000000ab 0.0000000000000000 x {\"code\":1}", "1 2 3 4", "\u{0}"]
    {
        let message = [b"\x01\x02\x01\x02\x03\x04\x05\x06\x07\x08\0", body.as_bytes()].concat();
        assert_eq!(decode(&Topic::key(&key()), message.into()), None, "{body:?}");
    }
}

proptest::proptest! {
    /// Whatever arrives from the engine is decoded without a panic, and what is decoded is encoded again.
    #[test]
    fn any_bytes_are_refused_or_a_message(
        kind in 0..8_u8,
        fields in proptest::collection::vec((0..6_u8, proptest::collection::vec(proptest::num::u8::ANY, 0..20)), 0..4),
        body in proptest::collection::vec(proptest::num::u8::ANY, 0..40),
    ) {
        let mut message = vec![VERSION, kind, 1, 2, 3, 4, 5, 6, 7, 8];
        for (tag, value) in fields {
            message.extend([tag, u8::try_from(value.len()).unwrap()]);
            message.extend(value);
        }
        message.push(FIELDS_END);
        message.extend(body);
        fuzz::form(&message);
    }
}
