//! Every session sends messages and gets replies, repeatedly.

use std::io;
use std::time::Instant;

use super::{Measure, QUIET, Task};
use crate::load::fleet::Fleet;
use crate::load::frame;
use crate::load::report::Messages;

/// Number of different messages. A lost or repeated message is noticed at the next one.
const DIFFERENT: usize = 16;

/// The messages, and the expected replies.
struct Question {
    frame: Vec<u8>,
    answer: Vec<u8>,
}

/// Text that is echoed.
pub fn texts(task: &Task, in_flight: usize, measure: &mut Measure) -> io::Result<()> {
    let dialect = task.target.dialect;
    let marks = ('a'..='z').take(DIFFERENT);
    let questions = marks.map(|mark| {
        let text = dialect.padded(mark, task.size).into_bytes();
        Question { frame: frame::masked(frame::TEXT, &text), answer: text }
    });
    ask(task, &questions.collect::<Vec<_>>(), in_flight, measure)
}

/// JSON commands, each with its body as the reply.
pub fn commands(task: &Task, measure: &mut Measure) -> io::Result<()> {
    let questions = (0..DIFFERENT as u64).map(|id| {
        // Fields in alphabetical order, since some servers sort them.
        let body = format!(r#"{{"difficulty":{id},"label":"a command with a body","nonce":123456789}}"#);
        let (asked, answer) = task.target.dialect.command(&body, id);
        Question { frame: frame::masked(frame::TEXT, asked.as_bytes()), answer: answer.into_bytes() }
    });
    ask(task, &questions.collect::<Vec<_>>(), 1, measure)
}

/// Progress of a session.
#[derive(Clone, Copy)]
struct State {
    next: usize,
    /// Replies of the batch that are missing.
    open: usize,
    asked: Instant,
}

fn ask(task: &Task, questions: &[Question], in_flight: usize, measure: &mut Measure) -> io::Result<()> {
    let mut fleet = Fleet::open(&task.target, task.sessions)?;
    // One write for a batch.
    let batches: Vec<Vec<u8>> = questions
        .chunks(in_flight)
        .map(|batch| batch.iter().flat_map(|question| question.frame.iter().copied()).collect())
        .collect();
    measure.during(task, |measure, end| {
        let Measure { messages, latencies, .. } = measure;
        let start = State { next: 0, open: in_flight, asked: Instant::now() };
        let mut states = vec![start; fleet.len()];
        for member in 0..fleet.len() {
            fleet.send(member, &batches[0])?;
            messages.expected += in_flight as u64;
        }
        while messages.received < messages.expected {
            let now = Instant::now();
            let came = fleet.turn(QUIET, |member, payload, link| {
                let state = &mut states[member];
                count(payload, &questions[state.next].answer, questions, messages);
                state.next = (state.next + 1) % questions.len();
                state.open -= 1;
                if state.open == 0 {
                    let now = Instant::now();
                    latencies.add(now - state.asked, in_flight as u64);
                    if now < end {
                        link.send(&batches[state.next / in_flight])?;
                        messages.expected += in_flight as u64;
                        *state = State { next: state.next, open: in_flight, asked: now };
                    }
                }
                Ok(())
            })?;
            if !came && now.elapsed() >= QUIET {
                break;
            }
        }
        Ok(())
    })
}

fn count(payload: &[u8], wanted: &[u8], questions: &[Question], messages: &mut Messages) {
    messages.received += 1;
    if payload != wanted {
        if questions.iter().any(|question| payload == question.answer) {
            messages.out_of_order += 1;
        } else {
            messages.wrong += 1;
        }
    }
}
