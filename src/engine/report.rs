//! Small texts about runs.

use std::path::Path;

/// RFC 3339 in UTC, to the millisecond.
pub(super) fn rfc3339(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map(|t| t.to_string()).unwrap_or_default()
}

/// How this run names itself to others that wait for it.
pub(super) fn who(root: &Path) -> String {
    format!("pid {} (optloop in {})", std::process::id(), root.display())
}
