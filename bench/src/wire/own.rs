//! Commands that only keywire's bench server knows.

/// A text frame with a command for keywire's bench server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnCommand {
    /// `T <count> <size> <keys>`: like `P`, sent by a thread of its own.
    PushFromThread { count: u64, size: usize, keys: u64 },
    /// `J <first> <count> <rooms>`: the session joins `room<first % rooms>` and those after it. The reply is [`JOINED`].
    Join { first: u64, count: u64, rooms: u64 },
    /// `G <count> <size> <rooms>`: `count` messages, each to the members of one of `room0` to `room<rooms - 1>`.
    PushToGroups { count: u64, size: usize, rooms: u64 },
}

/// The reply to [`OwnCommand::Join`].
pub const JOINED: &str = "joined";

impl OwnCommand {
    /// The command in a text, if there is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (name, numbers) = text.split_once(' ')?;
        let mut numbers = numbers.split(' ').map(|number| number.parse().ok());
        let mut next = || numbers.next().flatten();
        let [first, second, third] = [next()?, next()?, next()?];
        let size = usize::try_from(second).ok()?;
        match name {
            "T" => Some(Self::PushFromThread { count: first, size, keys: third.max(1) }),
            "J" => Some(Self::Join { first, count: second, rooms: third.max(1) }),
            "G" => Some(Self::PushToGroups { count: first, size, rooms: third.max(1) }),
            _ => None,
        }
    }
}

/// Name of a group.
#[must_use]
pub fn room(number: u64) -> String {
    format!("room{number}")
}

/// Number of the bytes that a push to a group has for the group: `,"group":"room7"`.
#[must_use]
pub fn group_field(room: &str) -> usize {
    r#","group":"""#.len() + room.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_nothing_else() {
        let push = OwnCommand::PushFromThread { count: 3, size: 64, keys: 10 };
        assert_eq!(OwnCommand::parse("T 3 64 10"), Some(push));
        assert_eq!(OwnCommand::parse("J 7 10 9"), Some(OwnCommand::Join { first: 7, count: 10, rooms: 9 }));
        for text in ["", "T", "T 1", "T 1 1", "T x 1 1", "P 1 1 1", "Tango 1 2 3"] {
            assert_eq!(OwnCommand::parse(text), None, "{text}");
        }
    }
}
