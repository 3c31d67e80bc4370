//! Subjects: a key may contain what separates or matches subjects, so it is encoded as one token.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::super::Topic;

/// What a token contains as it is. Any other byte is `%` and two digits.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// A text as one token of a subject: at most three times as long.
pub(super) fn token(text: &str) -> impl fmt::Display + '_ {
    utf8_percent_encode(text, ENCODED)
}

/// The text of a token.
pub(super) fn text_of(token: &str) -> Option<String> {
    Some(percent_decode_str(token).decode_utf8().ok()?.into_owned())
}

/// What is before the tokens of topics.
pub(super) fn of_topics(prefix: &str) -> String {
    format!("{prefix}.t.")
}

/// The subject of a topic: `{prefix}.t.k.{key}`, `{prefix}.t.g.{group}` or `{prefix}.t.all`.
pub(super) fn of_topic(topics: &str, topic: &Topic) -> String {
    match topic.as_str().split_once(':') {
        Some((kind, name)) => format!("{topics}{kind}.{}", token(name)),
        None => format!("{topics}{topic}"),
    }
}

/// The topic of a subject.
pub(super) fn to_topic(topics: &str, subject: &str) -> Option<Topic> {
    match subject.strip_prefix(topics)?.split_once('.') {
        Some((kind, name)) => Topic::parse(&format!("{kind}:{}", text_of(name)?)),
        None => Topic::parse(subject.strip_prefix(topics)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;

    #[test]
    fn each_topic_has_one_subject_and_comes_back() {
        let topics = of_topics("keywire");
        let keys =
            ["a", "a.b", "a b", "*", ">", "%2E", "a%b", "ä", "\u{1f600}", "k:a", "-_", "{{wildcard(1)}}"];
        let all = keys
            .map(|key| Topic::key(&Key::new(key).unwrap()))
            .into_iter()
            .chain([Topic::ALL, Topic::node(crate::cluster::NodeId::from_bits(7))]);
        let mut subjects = std::collections::HashSet::new();
        for topic in all {
            let subject = of_topic(&topics, &topic);
            assert!(subject.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_%".contains(&byte)));
            assert!(subject.split('.').count() <= 4, "{subject}");
            assert_eq!(to_topic(&topics, &subject), Some(topic));
            assert!(subjects.insert(subject));
        }
        let longest = Topic::key(&Key::new(".".repeat(Key::MAX_BYTES)).unwrap());
        // A line of the protocol has at most 4,096 bytes.
        assert!(of_topic(&topics, &longest).len() < 1000);
        for wrong in [
            "keywire.t.",
            "keywire.t.k.",
            "keywire.t.x.a",
            "other.t.k.a",
            "keywire.t.k.%ff",
            "keywire.t.call",
        ] {
            assert_eq!(to_topic(&topics, wrong), None, "{wrong}");
        }
    }
}
