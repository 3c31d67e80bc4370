//! `kw:seen` and `kw:read`: what a client says to the log of its key, and asks of it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::delivery::Position;
use crate::handler::{HandlerResult, Reply};
use crate::log::{Entry, GapKind, Limit, ReadFrom};
use crate::message::{Code, Envelope, Flag, Push};
use crate::session::Session;

/// The largest answer to `kw:read`.
const LARGEST: Limit = Limit { entries: 1000, bytes: 256 * 1024 };

/// The body of `kw:read`.
#[derive(Deserialize)]
struct Wish {
    /// `None`: the last entries.
    #[serde(default)]
    after: Option<After>,
    #[serde(default)]
    limit: Option<usize>,
}

/// Where the entries begin.
#[derive(Deserialize)]
#[serde(untagged)]
enum After {
    Position(Position),
    Word(Word),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Unread,
}

/// The data of the answer to `kw:read`.
#[derive(Serialize)]
struct Answer {
    from: Position,
    entries: Vec<Box<RawValue>>,
    end: Position,
    gap: Option<GapKind>,
    more: bool,
}

/// The user has seen everything up to the position in the body.
pub(super) async fn seen(session: &Session, envelope: Envelope) -> HandlerResult {
    if session.hub().log().is_none() {
        return Ok(no_log());
    }
    let Ok(at) = envelope.parse::<Position>() else {
        return Ok(Reply::error(Code::MALFORMED, "the body must be a position"));
    };
    Ok(match session.hub().log_seen(session.key(), at).await {
        // A page must not see a push that it did not ask for.
        Ok(()) if envelope.id.is_none() => Reply::none(),
        Ok(()) => Reply::ok(""),
        Err(_) => unavailable(),
    })
}

/// Entries of the log, on demand.
pub(super) async fn read(session: &Session, envelope: Envelope) -> HandlerResult {
    if session.hub().log().is_none() {
        return Ok(no_log());
    }
    // serde would also accept an array and read it field by field.
    let is_object = envelope.body.as_str().starts_with('{');
    let Some(Wish { after, limit }) = is_object.then(|| envelope.parse::<Wish>().ok()).flatten() else {
        return Ok(Reply::error(
            Code::MALFORMED,
            "the body must be {\"after\": position, \"limit\": number}",
        ));
    };
    let from = match after {
        None => ReadFrom::Latest,
        Some(After::Position(position)) => ReadFrom::After(position),
        Some(After::Word(Word::Unread)) => ReadFrom::Unread,
    };
    let limit = Limit { entries: limit.unwrap_or(LARGEST.entries).min(LARGEST.entries), ..LARGEST };
    let Ok(page) = session.hub().read_log(session.key(), from, limit).await else { return Ok(unavailable()) };
    let raw = |entry: &Entry| RawValue::from_string(entry.to_json());
    let entries = page.entries.iter().map(raw).collect::<Result<_, _>>()?;
    let answer = Answer { from: page.from, entries, end: page.end, gap: page.gap, more: page.more };
    Ok(Reply::from(Push::data(answer).with_flag(Flag::READ)))
}

fn no_log() -> Reply {
    Reply::error(Code::UNKNOWN_FLAG, "pushes are not kept here")
}

fn unavailable() -> Reply {
    Reply::error(Code::FAILED, "the log is unavailable")
}
