//! Requests to sessions of other nodes, as questions between nodes.

use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes};

use super::Question;
use crate::delivery::{Answer, Outcome, RequestError, RequestId, SessionId};
use crate::frame::Frame;
use crate::key::Key;
use crate::message::Json;
use crate::session::{Report, Request};
use crate::text::cut;

/// The subject of a request. The body is the id of the request (8 bytes), the time to its end in milliseconds (4 bytes) and the frame
/// that each session gets. A node answers several times, see [`asked`] and [`Answered`].
pub(crate) const REQUEST: u8 = 2;

/// The subject of a question without a body and without an answer: the request with its id is forgotten.
pub(crate) const FORGET: u8 = 3;

/// The kinds of answers.
const ASKED: u8 = 1;
const ANSWERED: u8 = 2;

/// What a session has answered.
const ANSWER: u8 = 0;
const ENDED: u8 = 1;
const FAILED: u8 = 2;
const TOO_MANY: u8 = 3;
const SLOW: u8 = 4;
const DROPPED: u8 = 5;
const TOO_LARGE: u8 = 6;

/// Bytes of a message, and so of the answer of one session. An engine takes messages of this size.
const MOST: usize = 256 * 1024;

/// Id, result and length of an answer.
const ITEM: usize = 16 + 1 + 4;

/// Largest JSON of one answer.
const LIMIT: usize = MOST - 1 - ITEM;

pub(crate) fn question(request: &Request, timeout: Duration) -> Question {
    let frame = request.frame().as_bytes();
    let mut body = Vec::with_capacity(12 + frame.len());
    body.put_u64(request.id().bits());
    body.put_u32(u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX));
    body.put_slice(frame);
    Question { subject: REQUEST, body: body.into() }
}

pub(crate) fn forget() -> Question {
    Question { subject: FORGET, body: Bytes::new() }
}

/// The request in a question, and the time to its end.
pub(crate) fn request(mut body: Bytes) -> Option<(Request, Duration)> {
    let id = RequestId::from_bits(body.try_get_u64().ok()?);
    let timeout = Duration::from_millis(body.try_get_u32().ok()?.into());
    let frame = Frame::from_wire(body).ok().filter(|frame| frame.count() == 1)?;
    Some((Request::from_parts(id, frame), timeout))
}

/// The sessions that a node has asked, in one message or several: the number of skipped sessions (4 bytes), and for each one that was
/// asked its id (16 bytes) and its key after its length (2 bytes). None if there are no sessions at all.
pub(crate) fn asked<'a>(
    skipped: usize,
    sessions: impl Iterator<Item = (SessionId, &'a Key)>,
) -> Vec<Vec<u8>> {
    let begin = |skipped| {
        let mut body = vec![ASKED];
        body.put_u32(skipped);
        body
    };
    let mut bodies = Vec::new();
    let mut body = begin(u32::try_from(skipped).unwrap_or(u32::MAX));
    let empty = if skipped > 0 { 0 } else { body.len() };
    for (id, key) in sessions {
        let name = key.as_str();
        // A key has 256 bytes at most.
        let Ok(len) = u16::try_from(name.len()) else { continue };
        if body.len() + 18 + name.len() > MOST {
            bodies.push(std::mem::replace(&mut body, begin(0)));
        }
        body.put_u128(id.bits());
        body.put_u16(len);
        body.put_slice(name.as_bytes());
    }
    if body.len() > empty {
        bodies.push(body);
    }
    bodies
}

/// Answers of sessions in one message: for each the id of the session (16 bytes), what it is (1 byte), and its value after its length
/// (4 bytes).
pub(crate) struct Answered(Vec<u8>);

impl Answered {
    pub(crate) fn new() -> Self {
        Self(vec![ANSWERED])
    }

    /// Adds an answer. Returns it if it needs another message.
    pub(crate) fn add(
        &mut self,
        session: SessionId,
        answer: Result<Answer, RequestError>,
    ) -> Result<(), Result<Answer, RequestError>> {
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes().to_vec();
        let (result, value) = match &answer {
            Ok(answer) if answer.json().as_str().len() > LIMIT => (TOO_LARGE, number(LIMIT)),
            Ok(answer) => (ANSWER, answer.json().as_str().as_bytes().to_vec()),
            Err(RequestError::Failed(error)) => (FAILED, error.as_bytes().to_vec()),
            Err(RequestError::TooMany { limit }) => (TOO_MANY, number(*limit)),
            Err(RequestError::Undelivered(Outcome::Dropped(messages))) => (DROPPED, number(*messages)),
            Err(RequestError::Undelivered(_)) => (SLOW, Vec::new()),
            Err(RequestError::TooLarge { limit }) => (TOO_LARGE, number(*limit)),
            // The asking node knows by itself who is late. The others are no results of one session.
            Err(RequestError::TimedOut) => return Ok(()),
            Err(
                RequestError::Ended
                | RequestError::Unsupported
                | RequestError::Invalid(_)
                | RequestError::Unavailable,
            ) => (ENDED, Vec::new()),
        };
        if self.0.len() + ITEM + value.len() > MOST {
            return Err(answer);
        }
        self.0.put_u128(session.bits());
        self.0.put_u8(result);
        self.0.put_u32(u32::try_from(value.len()).unwrap_or(u32::MAX));
        self.0.put_slice(&value);
        Ok(())
    }

    /// The message. `None` if there is nothing in it.
    pub(crate) fn body(self) -> Option<Vec<u8>> {
        (self.0.len() > 1).then_some(self.0)
    }
}

/// What another node says. `None` if it is not valid, or of a later version.
pub(crate) fn report(mut body: Bytes) -> Option<Report> {
    match body.try_get_u8().ok()? {
        ASKED => {
            let skipped = usize::try_from(body.try_get_u32().ok()?).ok()?;
            let mut sessions = Vec::new();
            while !body.is_empty() {
                let id = SessionId::from_bits(body.try_get_u128().ok()?);
                let len = usize::from(body.try_get_u16().ok()?);
                let name = (body.len() >= len).then(|| body.split_to(len))?;
                sessions.push((id, Key::new(str::from_utf8(&name).ok()?).ok()?));
            }
            Some(Report::Asked { skipped, sessions })
        }
        ANSWERED => {
            let mut answers = Vec::new();
            while !body.is_empty() {
                let id = SessionId::from_bits(body.try_get_u128().ok()?);
                let result = body.try_get_u8().ok()?;
                let len = usize::try_from(body.try_get_u32().ok()?).ok()?;
                let value = (body.len() >= len).then(|| body.split_to(len))?;
                // A result of a later version: to this one the session has not answered.
                if result <= TOO_LARGE {
                    answers.push((id, answer(result, value)?));
                }
            }
            Some(Report::Answered(answers))
        }
        _ => None,
    }
}

fn answer(result: u8, mut value: Bytes) -> Option<Result<Answer, RequestError>> {
    let mut number = || usize::try_from(value.try_get_u32().ok()?).ok();
    Some(match result {
        // Copied: one answer that is held must not hold the message.
        ANSWER => Ok(Answer::new(serde_json::from_slice::<Json>(&value).ok()?)),
        ENDED => Err(RequestError::Ended),
        FAILED => {
            Err(RequestError::Failed(cut(str::from_utf8(&value).ok()?, RequestError::MAX_BYTES).into()))
        }
        TOO_MANY => Err(RequestError::TooMany { limit: number()? }),
        SLOW => Err(RequestError::Undelivered(Outcome::Slow)),
        DROPPED => Err(RequestError::Undelivered(Outcome::Dropped(number()?))),
        TOO_LARGE => Err(RequestError::TooLarge { limit: number()? }),
        _ => return None,
    })
}

/// Checks that what is read is the same after it was written again.
#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(body: &Bytes) {
    let _ = request(body.clone());
    if body.len() > MOST {
        return;
    }
    match report(body.clone()) {
        Some(Report::Asked { skipped, sessions }) => {
            let again = asked(skipped, sessions.iter().map(|(id, key)| (*id, key)));
            let again: Vec<_> = again.into_iter().filter_map(|body| report(body.into())).collect();
            let expected =
                (skipped > 0 || !sessions.is_empty()).then_some(Report::Asked { skipped, sessions });
            assert!(again.len() > 1 || again == Vec::from_iter(expected), "{again:?}");
        }
        Some(Report::Answered(answers)) => {
            let mut body = Answered::new();
            for (session, answer) in &answers {
                assert!(body.add(*session, answer.clone()).is_ok(), "it had room");
            }
            let again = body.body().and_then(|body| report(body.into()));
            assert_eq!(again, (!answers.is_empty()).then_some(Report::Answered(answers)));
        }
        Some(Report::Published(_)) | None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Push;

    type Answers = Vec<(SessionId, Result<Answer, RequestError>)>;

    fn json(value: &str) -> Result<Answer, RequestError> {
        Ok(Answer::new(Json::new(value).unwrap()))
    }

    fn encode(answers: &Answers) -> Vec<Bytes> {
        let (mut bodies, mut body) = (Vec::new(), Answered::new());
        for (session, answer) in answers {
            if let Err(answer) = body.add(*session, answer.clone()) {
                bodies.extend(std::mem::replace(&mut body, Answered::new()).body());
                body.add(*session, answer).expect("room in an empty message");
            }
        }
        bodies.extend(body.body());
        bodies.into_iter().map(Bytes::from).collect()
    }

    fn decode(bodies: Vec<Bytes>) -> Answers {
        let reports = bodies.into_iter().map(|body| match report(body) {
            Some(Report::Answered(answers)) => answers,
            other => panic!("{other:?}"),
        });
        reports.flatten().collect()
    }

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let asked = Request::new(Push::message("?").with_flag("visible")).unwrap();
        for (timeout, expected) in
            [(Duration::ZERO, 0), (Duration::MAX, u32::MAX), (Duration::from_secs(2), 2000)]
        {
            let body = question(&asked, timeout).body;
            let (read, timeout) = request(body.clone()).unwrap();
            assert_eq!((read.id(), read.frame()), (asked.id(), asked.frame()));
            assert_eq!(timeout, Duration::from_millis(expected.into()));
            for cut in 0..body.len() {
                assert!(request(body.slice(..cut)).is_none());
            }
        }
        let two = Request::from_parts(asked.id(), Frame::burst([&Push::message("a"), &Push::message("b")]));
        assert!(request(question(&two, Duration::ZERO).body).is_none(), "one session gets one");
    }

    #[test]
    fn the_sessions_that_were_asked_come_in_messages_of_bounded_size() {
        let sessions: Vec<_> = (0..3000_u64)
            .map(|number| (SessionId::next(), Key::new(format!("{number:0>200}")).unwrap()))
            .collect();
        let named = || sessions.iter().map(|(id, key)| (*id, key));
        let bodies = asked(7, named());
        assert_eq!(bodies.len(), 3);
        let (mut all, mut left_out) = (Vec::new(), 0);
        for body in bodies {
            assert!(body.len() <= MOST);
            let Some(Report::Asked { skipped, sessions }) = report(body.into()) else { panic!() };
            all.extend(sessions);
            left_out += skipped;
        }
        assert_eq!((all, left_out), (sessions.clone(), 7));
        assert!(asked(0, [].into_iter()).is_empty());
        assert_eq!(asked(1, [].into_iter()).len(), 1);
        assert_eq!(asked(0, named().take(1)).len(), 1);
    }

    #[test]
    fn answers_come_as_they_were_given() {
        let results = [
            json("yes"),
            json(&"x".repeat(LIMIT - 2)),
            Err(RequestError::Ended),
            Err(RequestError::Failed("no \u{7}".into())),
            Err(RequestError::TooMany { limit: 64 }),
            Err(RequestError::Undelivered(Outcome::Slow)),
            Err(RequestError::Undelivered(Outcome::Dropped(3))),
            Err(RequestError::TooLarge { limit: 7 }),
        ];
        let answers: Answers = results.map(|result| (SessionId::next(), result)).into();
        let bodies = encode(&answers);
        assert_eq!(bodies.iter().map(Bytes::len).max(), Some(MOST));
        assert_eq!(decode(bodies), answers);
    }

    #[test]
    fn a_result_is_cut_or_left_out() {
        let id = SessionId::next();
        let large = decode(encode(&vec![(id, json(&"x".repeat(LIMIT - 1)))]));
        assert_eq!(large, [(id, Err(RequestError::TooLarge { limit: LIMIT }))]);
        assert!(encode(&vec![(id, Err(RequestError::TimedOut))]).is_empty());
        let long = decode(encode(&vec![(id, Err(RequestError::Failed("x".repeat(300).into())))]));
        assert_eq!(long, [(id, Err(RequestError::Failed("x".repeat(256).into())))]);
        let mut later = encode(&vec![(id, json("a")), (id, json("b"))])[0].to_vec();
        later[1 + 16] = 99;
        assert_eq!(decode(vec![later.into()]), [(id, json("b"))]);
        let mut wrong = encode(&vec![(id, json("a"))])[0].to_vec();
        wrong[1 + ITEM] = b'a';
        assert_eq!(report(wrong.into()), None, "not JSON");
        assert_eq!(report(Bytes::from_static(b"\x09")), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_refused_or_a_report(body in proptest::collection::vec(proptest::num::u8::ANY, 0..80), kind in 0..4_u8) {
            fuzz(&Bytes::from([&[kind][..], &body].concat()));
        }
    }
}
