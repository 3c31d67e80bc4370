/// Application id of a log, which distinguishes it from other databases: "kwlg".
pub(super) const APPLICATION_ID: u32 = 0x6b77_6c67;

/// The version of the schema, `PRAGMA user_version`.
pub(super) const VERSION: u32 = 1;
