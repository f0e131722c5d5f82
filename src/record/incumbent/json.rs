//! Files that hold one JSON value with a version.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::record::durable;
use crate::record::error::RecordError;

/// Rises when a reader of incumbents or intents would have to change.
pub const INCUMBENT_VERSION: u32 = 2;

/// A file that holds one JSON value with a version; `None` when there is none.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, RecordError> {
    let Some(bytes) = durable::read(path)? else {
        return Ok(None);
    };
    let refuse = |source| RecordError::Garbled { path: path.to_owned(), source };
    let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(refuse)?;
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version > u64::from(INCUMBENT_VERSION) => {
            let path = path.to_owned();
            Err(RecordError::Newer { path, version, known: INCUMBENT_VERSION })
        }
        _ => serde_json::from_value(value).map(Some).map_err(refuse),
    }
}

/// One JSON line.
pub(super) fn json_line(value: &impl Serialize) -> Result<Vec<u8>, RecordError> {
    let mut bytes = serde_json::to_vec(value).map_err(RecordError::Unencodable)?;
    bytes.push(b'\n');
    Ok(bytes)
}
