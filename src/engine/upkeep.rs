//! Looking after what is kept: how much it is, whether it is whole, and what nobody needs.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cache::ACTION_VERSION;
use crate::cache::index::FORMAT;
use crate::cache::{Action, CacheError, Index, Journal, Kind, Room, Store};
use crate::digest::Digest;
use crate::engine::stage::compare::sides::TREES;
use crate::plan::key::Walk;

/// How much is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Stats {
    /// Results under their keys.
    pub results: usize,
    /// Kept contents: outputs and recorded output.
    pub blobs: usize,
    /// Of results and contents on disk.
    pub bytes: u64,
    /// Pipelines, each with what the command line changes, that have run.
    pub states: usize,
    /// Recorded runs.
    pub runs: usize,
    /// When the oldest result was made, ms since the epoch.
    pub oldest_ms: Option<i64>,
    /// When the newest was.
    pub newest_ms: Option<i64>,
}

/// Counts what is kept below a state folder.
pub fn stats(state_dir: &Path) -> Stats {
    let store = Store::new(state_dir);
    let contents = store.contents();
    let count = |room: Room| contents.iter().filter(|(r, _, _)| *r == room).count();
    let mut stats = Stats {
        results: count(Room::Keys),
        blobs: count(Room::Blobs),
        bytes: store.bytes_on_disk(),
        states: folders(&state_dir.join("state")).len(),
        runs: folders(&state_dir.join("runs")).len(),
        ..Stats::default()
    };
    for (_, action) in actions(&store) {
        let made = action.finished_ms;
        stats.oldest_ms = Some(stats.oldest_ms.map_or(made, |o| o.min(made)));
        stats.newest_ms = Some(stats.newest_ms.map_or(made, |n| n.max(made)));
    }
    stats
}

fn folders(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|e| e.path()).filter(|p| p.is_dir()).collect();
    found.sort_unstable();
    found
}

fn actions(store: &Store) -> impl Iterator<Item = (Digest, Action)> + '_ {
    let keys = store.contents().into_iter().filter(|(room, _, _)| *room == Room::Keys);
    keys.filter_map(|(_, key, _)| Some((key, store.action(&key)?)))
}

/// The index in a state folder as its journal continues it. Nothing is written.
fn index_of(own: &Path) -> Option<Index> {
    let mut index = Index::read(&own.join("index")).ok()??;
    Journal::replay(&own.join("journal"), &mut index).ok()?;
    Some(index)
}

/// What a collection removed.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Freed {
    /// Results.
    pub results: usize,
    /// Contents.
    pub blobs: usize,
    /// States of pipelines that are gone.
    pub states: usize,
    /// Bytes on disk.
    pub bytes: u64,
}

/// Removes every result that no pipeline's present state refers to and that is older than an
/// hour, with what only such results need. Only for whoever holds the state's lock.
///
/// # Errors
/// When the store cannot be written anew; nothing is lost then.
pub fn collect(root: &Path, state_dir: &Path, now_ms: i64) -> Result<Freed, CacheError> {
    const YOUNG_MS: i64 = 3_600_000;
    let before = stats(state_dir);
    let mut wanted: HashSet<Digest> = HashSet::new();
    for own in folders(&state_dir.join("state")) {
        match index_of(&own) {
            Some(index) if is_orphan(root, &index) => {
                std::fs::remove_dir_all(&own).map_err(CacheError::io("cannot remove", &own))?;
            }
            Some(index) => wanted.extend(index.nodes.iter().map(|n| n.key)),
            // Nothing can be told of it; its next run plans and looks everything up anew.
            None => {}
        }
    }
    let store = Store::new(state_dir);
    let mut keep: HashSet<(Room, Digest)> = HashSet::new();
    for (key, action) in actions(&store) {
        if wanted.contains(&key) || action.finished_ms > now_ms - YOUNG_MS {
            keep.insert((Room::Keys, key));
            keep.insert((Room::Deps, declared(&action)));
            keep.insert((Room::Blobs, action.log));
            keep.extend(action.outputs.iter().map(|o| (Room::Blobs, o.digest)));
        }
    }
    store.retain(|room, digest| keep.contains(&(room, *digest)))?;
    let after = stats(state_dir);
    Ok(Freed {
        results: before.results - after.results,
        blobs: before.blobs - after.blobs,
        states: before.states - after.states,
        bytes: before.bytes.saturating_sub(after.bytes),
    })
}

/// True when every file that the plan was made from is gone.
fn is_orphan(root: &Path, index: &Index) -> bool {
    let from = index.plan_inputs().iter().map(|&e| index.entry_name(e));
    let mut files = from.filter(|(kind, _)| *kind == Kind::File).peekable();
    files.peek().is_some() && files.all(|(_, name)| !root.join(name).exists())
}

/// The digest of what was declared: all fields but those that were discovered, which come last.
fn declared(action: &Action) -> Digest {
    let fields = action.fields.len().saturating_sub(action.discovered.len());
    walk(&action.fields[..fields])
}

fn walk(fields: &[(String, String)]) -> Digest {
    let mut walk = Walk::default();
    for (name, value) in fields {
        walk.field(name, value);
    }
    walk.digest()
}

/// Removes every kept result, all state and all builds; the records of runs stay. Only for
/// whoever holds the state's lock.
///
/// # Errors
/// When something cannot be removed.
pub fn clear(state_dir: &Path) -> Result<Freed, CacheError> {
    let before = stats(state_dir);
    // State first: after a kill in between, results without state are only looked up anew.
    let trees = state_dir.join(TREES);
    crate::tree::home::remove(&trees).map_err(CacheError::io("cannot remove", &trees))?;
    for name in ["state", "cache", "build", "tmp"] {
        let dir = state_dir.join(name);
        match std::fs::remove_dir_all(&dir) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(CacheError::io("cannot remove", &dir)(e));
            }
            _ => {}
        }
    }
    let Stats { results, blobs, states, bytes, .. } = before;
    Ok(Freed { results, blobs, states, bytes })
}

/// Something kept that is not what its name says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Finding {
    /// Which file or which result.
    pub what: String,
    /// What is wrong with it.
    pub wrong: String,
    /// What that leads to, or what to do.
    pub then: String,
}

/// What was proved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Verified {
    /// Results looked at.
    pub results: usize,
    /// Contents looked at.
    pub blobs: usize,
    /// States looked at.
    pub states: usize,
    /// Everything that is damaged.
    pub findings: Vec<Finding>,
}

/// Proves that everything kept is what its name says. What a kill leaves (temporary files, a torn
/// end of a journal) is no damage. Nothing is written.
pub fn verify(state_dir: &Path) -> Verified {
    let store = Store::new(state_dir);
    let mut verified = Verified::default();
    verify_pack(&store, state_dir, &mut verified);
    verify_large(&store, &mut verified);
    let mut good = HashSet::new();
    for (room, digest, _) in store.contents() {
        match room {
            Room::Blobs => {
                verified.blobs += 1;
                good.extend(store.has_blob(&digest).then_some(digest));
            }
            Room::Keys => verified.results += 1,
            Room::Deps => {}
        }
    }
    for (room, key, _) in store.contents() {
        if room == Room::Keys {
            verify_result(&store, &key, &good, &mut verified);
        }
    }
    for own in folders(&state_dir.join("state")) {
        verified.states += 1;
        verify_state(&own, &mut verified);
    }
    verified
}

impl Verified {
    fn find(&mut self, what: impl Into<String>, wrong: impl Into<String>, then: &str) {
        let finding = Finding { what: what.into(), wrong: wrong.into(), then: then.to_owned() };
        self.findings.push(finding);
    }
}

const ANEW: &str = "it counts as absent: the next run that needs it makes it anew";
const AGAIN: &str = "its stage runs again where these are needed";

fn verify_pack(store: &Store, state_dir: &Path, verified: &mut Verified) {
    let (damaged, unread) = store.damage();
    for (room, digest) in damaged {
        let what = format!("{} {}", word(room), digest.short());
        verified.find(what, "its bytes are not those that were kept", ANEW);
    }
    if unread > 0 {
        let what = state_dir.join("cache").display().to_string();
        let wrong = format!("{unread} records of its index do not hold");
        verified.find(what, wrong, ANEW);
    }
}

fn word(room: Room) -> &'static str {
    match room {
        Room::Keys => "result",
        Room::Deps => "discoveries",
        Room::Blobs => "content",
    }
}

fn verify_large(store: &Store, verified: &mut Verified) {
    for (digest, path) in store.large() {
        let what = path.display().to_string();
        match (digest, Digest::of_file(&path)) {
            (None, _) => verified.find(what, "its name is no digest", "remove it"),
            (Some(_), Err(e)) => verified.find(what, format!("it cannot be read: {e}"), ANEW),
            (Some(name), Ok(is)) if name != is => {
                let wrong = format!("its content has the digest {}", is.short());
                verified.find(what, wrong, ANEW);
            }
            _ => {}
        }
    }
}

fn verify_result(store: &Store, key: &Digest, good: &HashSet<Digest>, verified: &mut Verified) {
    // Damaged bytes were told of already.
    let Some(bytes) = store.action_bytes(key) else {
        return;
    };
    let what = format!("result {}", key.short());
    let action: Action = match serde_json::from_slice(&bytes) {
        Ok(action) => action,
        Err(_) if is_of_another_version(&bytes) => return,
        Err(e) => return verified.find(what, format!("it cannot be understood: {e}"), ANEW),
    };
    if action.version != ACTION_VERSION {
        return;
    }
    let what = format!("{what} of {}", action.node);
    if walk(&action.fields) != *key {
        verified.find(&what, "the fields of its key do not make its key", "run `cache gc --all`");
    }
    for output in action.outputs.iter().filter(|o| !good.contains(&o.digest)) {
        let wrong = format!("the content of {} is missing or damaged", output.path);
        verified.find(&what, wrong, AGAIN);
    }
    if !action.log.is_none() && !good.contains(&action.log) {
        verified.find(&what, "its recorded output is missing or damaged", "it is shown as empty");
    }
}

/// Results of another version of the program are left alone, not understood.
fn is_of_another_version(bytes: &[u8]) -> bool {
    let value: Option<serde_json::Value> = serde_json::from_slice(bytes).ok();
    let version = value.and_then(|v| v.get("version")?.as_u64());
    version.is_some_and(|v| v != u64::from(ACTION_VERSION))
}

fn verify_state(own: &Path, verified: &mut Verified) {
    const PLANNED: &str = "the next run plans anew and looks every result up under its key";
    let path = own.join("index");
    let mut index = match Index::read(&path) {
        Ok(Some(index)) => index,
        // Killed before it was first written, or written by another version.
        Ok(None) if !path.exists() => return,
        Ok(None) if Index::format_of(&path).is_some_and(|f| f != FORMAT) => return,
        Ok(None) => {
            return verified.find(path.display().to_string(), "it is damaged", PLANNED);
        }
        Err(e) => return verified.find(path.display().to_string(), e.to_string(), PLANNED),
    };
    let path = own.join("journal");
    match Journal::replay(&path, &mut index) {
        Ok((_, replayed)) if replayed.damaged => {
            let then = "what follows is forgotten: those stages are looked up under their keys";
            verified.find(path.display().to_string(), "a record in it is damaged", then);
        }
        Ok(_) => {}
        Err(e) => verified.find(path.display().to_string(), e.to_string(), PLANNED),
    }
}

#[cfg(test)]
#[path = "upkeep_tests.rs"]
mod tests;
