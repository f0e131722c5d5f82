//! Requests to a campaign: files that other processes leave in its folder.
//!
//! A request is one file, written whole or not at all, and is answered by one event. What was
//! answered is removed afterwards; a kill in between leaves a file that the log knows.

use std::fs;
use std::io;
use std::path::Path;

use super::steering::Steering;

/// Where they lie, below the campaign's folder.
pub const INBOX: &str = "inbox";
/// The request to stop.
pub const STOP: &str = "stop";
const ENDING: &str = ".json";

/// A request that has not been answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The name of its file; later ones come later in the order of names.
    pub name: String,
    /// What it asks for; or why it cannot be read.
    pub asks: Result<Steering, Unreadable>,
}

/// Why a request cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    File(String),
    /// It holds something else.
    #[error("it is no request: {0}")]
    Form(String),
}

/// Leaves a request.
///
/// # Errors
/// When it cannot be written.
pub fn leave(folder: &Path, steering: &Steering, now: jiff::Timestamp) -> io::Result<String> {
    let inbox = folder.join(INBOX);
    fs::create_dir_all(&inbox)?;
    let at = now.strftime("%Y%m%dT%H%M%S.%9f");
    let name = format!("{at}-{}{ENDING}", std::process::id());
    let text = serde_json::to_vec(steering)?;
    let write = |file: &mut fs::File| io::Write::write_all(file, &text);
    crate::cache::index::replace(&inbox.join(&name), write)?;
    Ok(name)
}

/// The first request that has not been answered; those that were are removed.
pub fn first(folder: &Path, answered: &[String]) -> Option<Request> {
    let inbox = folder.join(INBOX);
    let entries = fs::read_dir(&inbox).ok()?;
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(ENDING)).collect();
    names.sort();
    for name in names {
        let place = inbox.join(&name);
        if answered.contains(&name) {
            // What stays is known, and is not answered again.
            drop(fs::remove_file(place));
            continue;
        }
        return Some(Request { name, asks: read(&place) });
    }
    None
}

fn read(place: &Path) -> Result<Steering, Unreadable> {
    let text = fs::read(place).map_err(|e| Unreadable::File(e.to_string()))?;
    serde_json::from_slice(&text).map_err(|e| Unreadable::Form(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_come_in_their_order_and_what_was_answered_goes() {
        let dir = tempfile::tempdir().expect("a folder");
        assert_eq!(first(dir.path(), &[]), None);
        let at = |seconds| jiff::Timestamp::from_second(seconds).expect("a time");
        let bold = Steering { say: Some("be bold".to_owned()), ..Steering::default() };
        let later = leave(dir.path(), &Steering::default(), at(2_000)).expect("left");
        let sooner = leave(dir.path(), &bold, at(1_000)).expect("left");
        fs::write(dir.path().join(INBOX).join(STOP), "").expect("written");
        fs::write(dir.path().join(INBOX).join("half.tmp7"), "{").expect("written");
        let found = first(dir.path(), &[]).expect("one");
        assert_eq!(found, Request { name: sooner.clone(), asks: Ok(bold) });
        // Looking answers nothing.
        assert_eq!(first(dir.path(), &[]).expect("one").name, sooner);
        let next = first(dir.path(), std::slice::from_ref(&sooner)).expect("one");
        assert_eq!(next.name, later);
        assert!(!dir.path().join(INBOX).join(&sooner).exists());
        fs::write(dir.path().join(INBOX).join("1.json"), r#"{"tarrget": 5}"#).expect("written");
        let wrong = first(dir.path(), &[]).expect("one");
        let why = wrong.asks.expect_err("it is no request").to_string();
        assert!(why.contains("tarrget"), "{why}");
    }
}
