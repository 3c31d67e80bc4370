use std::sync::LazyLock;

use bytes::Bytes;

use super::error::RedisError;
use crate::cluster::Topic;

/// The names of keys and channels in Redis.
///
/// A name is the prefix, the tag of a partition in braces, a letter for the kind, and the key of the user. All names of one user
/// have the same partition, so a Redis Cluster keeps them on one node and a script may use them together.
#[derive(Debug, Clone)]
pub(super) struct Names {
    prefix: String,
}

/// One of 256 parts of all keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Partition(pub(super) u8);

pub(super) const PARTITIONS: usize = 256;
pub(super) const SLOTS: u16 = 16384;

impl Partition {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..=u8::MAX).map(Self)
    }

    /// The partition of this name. Every version of keywire must compute the same one.
    pub(super) fn of(name: &str) -> Self {
        // FNV-1a.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self((hash ^ (hash >> 32)) as u8)
    }

    /// The partition of a topic. A key and its topic have the same.
    pub(super) fn of_topic(topic: &Topic) -> Self {
        Self::of(topic.as_str().strip_prefix("k:").unwrap_or(topic.as_str()))
    }

    /// The text in braces, which decides on the slot.
    pub(super) fn tag(self) -> &'static str {
        &TAGS[usize::from(self.0)]
    }

    /// The slot in a Redis Cluster. Partition n has a slot of the n-th of 256 parts of all slots.
    pub(super) fn slot(self) -> u16 {
        slot(self.tag().as_bytes())
    }
}

/// For each partition the first number whose slot is in its part, in base 36.
static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut tags = vec![String::new(); PARTITIONS];
    let (mut left, mut number) = (PARTITIONS, 0);
    while left > 0 {
        let tag = base36(number);
        let found = &mut tags[usize::from(slot(tag.as_bytes())) * PARTITIONS / usize::from(SLOTS)];
        if found.is_empty() {
            *found = tag;
            left -= 1;
        }
        number += 1;
    }
    tags
});

fn base36(mut number: u32) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(char::from_digit(number % 36, 36).unwrap_or('0'));
        number /= 36;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

/// The slot of a tag: CRC-16 (XMODEM).
fn slot(tag: &[u8]) -> u16 {
    let crc = tag.iter().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    });
    crc % SLOTS
}

impl Names {
    pub(super) fn new(prefix: &str) -> Result<Self, RedisError> {
        let valid = |byte: u8| byte.is_ascii_graphic() && byte != b'{' && byte != b'}';
        if prefix.is_empty() || prefix.len() > 64 || !prefix.bytes().all(valid) {
            return Err(RedisError::Options(
                "the prefix must be 1 to 64 visible ASCII characters without braces",
            ));
        }
        Ok(Self { prefix: prefix.to_owned() })
    }

    /// The name of what is kept for `name` in its partition. `kind` says what it is.
    pub(super) fn of(&self, partition: Partition, kind: char, name: &str) -> String {
        format!("{}{{{}}}{kind}:{name}", self.prefix, partition.tag())
    }

    /// The channel of a topic.
    pub(super) fn channel(&self, topic: &Topic) -> String {
        format!("{}{{{}}}{topic}", self.prefix, Partition::of_topic(topic).tag())
    }

    /// The topic of a channel.
    pub(super) fn topic(&self, channel: &Bytes) -> Option<Topic> {
        let rest = str::from_utf8(channel).ok()?.strip_prefix(self.prefix.as_str())?;
        Topic::parse(rest.strip_prefix('{')?.split_once('}')?.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::Group;
    use crate::key::Key;

    #[test]
    fn partitions_are_spread_over_all_slots() {
        for (number, partition) in Partition::all().enumerate() {
            assert_eq!(usize::from(partition.slot()) / 64, number);
            assert!(partition.tag().len() <= 3, "{}", partition.tag());
        }
        // The test vector of the specification.
        assert_eq!(slot(b"123456789"), 0x31c3);
    }

    /// Another version must find the same names.
    #[test]
    fn names_are_fixed() {
        let names = Names::new("keywire").unwrap();
        let key = Key::new("alice").unwrap();
        let partition = Partition::of("alice");
        assert_eq!(names.of(partition, 'l', "alice"), "keywire{2b}l:alice");
        assert_eq!(names.channel(&Topic::key(&key)), "keywire{2b}k:alice");
        let tags: Vec<_> = [0, 1, 128, 255].map(|number| Partition(number).tag()).into();
        assert_eq!(tags, ["cv", "14", "16", "fv"]);
    }

    #[test]
    fn a_channel_leads_back_to_its_topic() {
        let names = Names::new("a:b").unwrap();
        let group = Group::new("{x} y").unwrap();
        for topic in [
            Topic::key(&Key::new("a}b{c}").unwrap()),
            Topic::group(&group),
            Topic::ALL,
            Topic::node(crate::cluster::NodeId::from_bits(7)),
        ] {
            assert_eq!(names.topic(&names.channel(&topic).into()), Some(topic));
        }
        for other in ["", "a:b", "a:b{1}", "a:b{1}x:1", "other{1}k:a", "a:b{k:a"] {
            assert_eq!(names.topic(&Bytes::from(other)), None, "{other}");
        }
    }

    #[test]
    fn a_prefix_must_not_hide_the_tag() {
        for wrong in ["", "a{b", "a}b", "a b", "ä", &"a".repeat(65)] {
            assert!(Names::new(wrong).is_err(), "{wrong:?}");
        }
    }
}
