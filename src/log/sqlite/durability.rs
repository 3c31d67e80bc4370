/// Durability of a kept push after [`Kept::At`](crate::log::Kept::At) was returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Durability {
    /// The push survives a power cut. Each commit waits for the disk (`PRAGMA synchronous = FULL`).
    #[default]
    Full,
    /// The push survives any end of the process. A power cut may lose the last pushes (`NORMAL`). Faster.
    Normal,
}
