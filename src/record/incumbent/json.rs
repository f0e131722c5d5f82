//! Files that hold one JSON value with a version.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::record::durable;

/// Rises when a reader of incumbents or intents would have to change.
pub const INCUMBENT_VERSION: u32 = 2;

/// A file that holds one JSON value with a version; `None` when there is none.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, String> {
    let Some(bytes) = durable::read(path)? else {
        return Ok(None);
    };
    let refuse = |e: serde_json::Error| {
        format!("{} cannot be understood: {e}; put it back from a copy", path.display())
    };
    let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(refuse)?;
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version > u64::from(INCUMBENT_VERSION) => Err(format!(
            "{} has version {version}, and this optloop reads {INCUMBENT_VERSION}",
            path.display()
        )),
        _ => serde_json::from_value(value).map(Some).map_err(refuse),
    }
}

/// One JSON line.
pub(super) fn json_line(value: &impl Serialize) -> Result<Vec<u8>, String> {
    let mut bytes = serde_json::to_vec(value).map_err(|e| format!("cannot encode: {e}"))?;
    bytes.push(b'\n');
    Ok(bytes)
}
