/// What a kept push survives, once [`Kept::At`](crate::log::Kept::At) was returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Durability {
    /// A power cut: each commit waits for the disk (`PRAGMA synchronous = FULL`).
    #[default]
    Full,
    /// The end of the process, however it ends, but not a power cut, which may take the last pushes (`NORMAL`). Faster.
    Normal,
}
