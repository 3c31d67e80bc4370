//! keywire's own flags: what clients send to the server itself.

mod answer;
mod history;
mod refresh;

use futures_util::future::BoxFuture;

use crate::handler::{HandlerResult, Reply};
use crate::message::{Code, Envelope, Flag, Push};
use crate::session::Session;
use crate::text::Text;

/// What becomes of a message with one of keywire's own flags.
pub(super) enum Served<'a> {
    Now(Reply),
    Later(BoxFuture<'a, HandlerResult>),
}

/// Serves a message with one of keywire's own flags.
pub(super) fn serve<'a>(session: &'a Session, envelope: Envelope, text: &Text) -> Served<'a> {
    if envelope.flag == Flag::PING {
        Served::Now(pong())
    } else if envelope.flag == Flag::REFRESH {
        Served::Later(Box::pin(refresh::refresh(session, envelope)))
    } else if envelope.flag == Flag::SEEN {
        Served::Later(Box::pin(history::seen(session, envelope)))
    } else if envelope.flag == Flag::READ {
        Served::Later(Box::pin(history::read(session, envelope)))
    } else if envelope.flag == Flag::ANSWER && session.can_be_asked() {
        answer::take(session, envelope, text);
        Served::Now(Reply::none())
    } else {
        Served::Now(Reply::error(Code::UNKNOWN_FLAG, "no such flag of keywire's own"))
    }
}

/// Serves a message that overtakes those that wait for the handler, without the text hook. Returns whether the message was one: an
/// answer to a request, for which the handler may be waiting, or a ping, if there is room for its reply.
pub(super) fn overtake(session: &Session, text: &Text, has_room: bool) -> bool {
    // A ping: the flag, and an id of 64 bytes, escaped in any way.
    const LONGEST: usize = 512;
    let may_be_answer = session.can_be_asked() && text.contains(Flag::ANSWER.as_str());
    let may_be_ping = has_room && text.len() <= LONGEST && text.contains(Flag::PING.as_str());
    if !may_be_answer && !may_be_ping {
        return false;
    }
    match Envelope::read(text, session.key()) {
        Ok(envelope) if may_be_answer && envelope.flag == Flag::ANSWER => {
            answer::take(session, envelope, text);
            true
        }
        Ok(envelope) if may_be_ping && envelope.flag == Flag::PING => {
            pong().send(session, envelope.id);
            true
        }
        _ => false,
    }
}

/// Answers a message beyond the rate limit, without handling it. The answer to a request is taken nevertheless: the server asked for
/// it.
pub(super) fn refuse(session: &Session, text: Option<&str>) {
    let mut id = None;
    if let Some(text) = text.map(Text::from) {
        id = match Envelope::read(&text, session.key()) {
            Ok(envelope) if envelope.flag == Flag::ANSWER && session.can_be_asked() => {
                return answer::take(session, envelope, &text);
            }
            Ok(envelope) => envelope.id,
            Err(malformed) => malformed.id,
        };
    }
    Reply::error(Code::SLOW_DOWN, "too many messages").send(session, id);
}

fn pong() -> Reply {
    Push::message("").with_flag(Flag::PONG).into()
}
