use crate::message::MessageId;

/// The ids of the messages of one tab.
#[derive(Default)]
pub(super) struct Ids(u64);

impl Ids {
    pub(super) fn next(&mut self, prefix: &str) -> MessageId {
        self.0 += 1;
        MessageId::Text(format!("{prefix}{}", self.0).into())
    }

    pub(super) fn is_barrier(id: Option<&MessageId>) -> bool {
        matches!(id, Some(MessageId::Text(id)) if id.starts_with(BARRIER))
    }
}

/// A reserved flag that means nothing. The answer says so once all messages before it are handled. `kw:ping` would be answered while a
/// handler runs.
pub(super) const BARRIER: &str = "kw:tab:";
