//! Campaigns on disk: which there are, who drives them, and how they are found.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::inbox::{self, INBOX, STOP};
use super::log;
use super::settings::given::{Given, Setting};
use super::steering::Steering;
use crate::cache::CacheError;
use crate::cache::lock::{Lock, TryLock};
use crate::engine::tags;

/// Where campaigns lie, below the state folder.
const FOLDER: &str = "campaigns";
const ABOUT: &str = "campaign.json";
const LOCK: &str = "lock";

/// The version of [`About`].
pub const ABOUT_VERSION: u32 = 1;

/// What a campaign was started with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// Of this file's form.
    pub version: u32,
    /// Its campaign file, absolute: it is read again when the campaign is taken up.
    pub file: PathBuf,
    /// What `--approve` named.
    pub approved: Vec<String>,
    /// The program that started it.
    pub optloop: String,
    /// What command line and environment gave: it counts again when the campaign is taken up.
    #[serde(default)]
    pub given: Given,
    /// Every setting with its source.
    #[serde(default)]
    pub settings: Vec<Setting>,
    /// The epoch that it is about: it is written anew when a commit of the user's is adopted.
    #[serde(default = "first_epoch")]
    pub epoch: u32,
    /// The commit of the user's repository that the epoch began with.
    #[serde(default)]
    pub head: Option<String>,
}

fn first_epoch() -> u32 {
    1
}

/// A campaign's folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stored {
    /// Its name and the time of its start.
    pub id: String,
    /// Where it lies.
    pub folder: PathBuf,
}

/// Who drives a campaign.
#[derive(Debug)]
pub enum Driven {
    /// This process, while the lock lives.
    Here(Lock),
    /// Another process: what it says of itself.
    Elsewhere(String),
}

/// Whether the first event was written down whole.
fn has_begun(folder: &Path) -> bool {
    fs::read(folder.join(log::FILE)).is_ok_and(|log| log.contains(&b'\n'))
}

/// Removes a folder. A `git` that outlived its driver may still write there for a moment, until it finds
/// that its place is gone; what cannot be removed takes room only.
fn remove(folder: &Path) {
    for _ in 0..50 {
        match fs::remove_dir_all(folder) {
            Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => {
                std::thread::sleep(Duration::from_millis(20));
            }
            _ => return,
        }
    }
}

impl Stored {
    /// A new one of this name; its folder is not made yet.
    pub fn new(state: &Path, name: &str, now: jiff::Timestamp) -> Self {
        let mut at = now;
        loop {
            let id = format!("{name}-{}", at.strftime("%Y%m%dT%H%M%SZ"));
            let folder = state.join(FOLDER).join(&id);
            if !folder.exists() {
                return Self { id, folder };
            }
            // Another one began in the same second.
            at += Duration::from_secs(1);
        }
    }

    /// Removes folders of campaigns that were killed before they had begun: nothing is in them.
    pub fn remove_unbegun(state: &Path) {
        for entry in fs::read_dir(state.join(FOLDER)).into_iter().flatten().flatten() {
            let folder = entry.path();
            let lock = Lock::try_take(&folder.join(LOCK));
            if !has_begun(&folder) && matches!(lock, Ok(TryLock::Taken(_))) {
                remove(&folder);
            }
        }
    }

    /// All campaigns below a state folder, oldest first.
    pub fn all(state: &Path) -> Vec<Self> {
        let Ok(entries) = fs::read_dir(state.join(FOLDER)) else { return Vec::new() };
        let found = entries.flatten().filter(|entry| has_begun(&entry.path()));
        let mut all: Vec<Self> = found
            .map(|entry| Self {
                id: entry.file_name().to_string_lossy().into_owned(),
                folder: entry.path(),
            })
            .collect();
        // The time stands at the end of the name.
        all.sort_by(|a, b| a.started().cmp(b.started()).then_with(|| a.id.cmp(&b.id)));
        all
    }

    fn started(&self) -> &str {
        self.id.rsplit('-').next().unwrap_or_default()
    }

    /// Whether it is meant by a name, or by a name and time.
    pub fn is_called(&self, name: &str) -> bool {
        self.id == name || self.id.strip_suffix(self.started()) == Some(&format!("{name}-"))
    }

    /// Whether its log can be read, and says that it has ended.
    pub fn has_ended(&self) -> bool {
        log::Log::open(&self.folder).is_ok_and(|(log, _)| log.history().end.is_some())
    }

    /// Takes the lock of the one who drives it.
    ///
    /// # Errors
    /// When the lock's file cannot be opened.
    pub fn drive(&self) -> Result<Driven, CacheError> {
        match Lock::try_take(&self.folder.join(LOCK))? {
            TryLock::Taken(mut lock) => {
                lock.sign(&format!("pid {} (optloop loop)", std::process::id()))?;
                Ok(Driven::Here(lock))
            }
            TryLock::Held(holder) => Ok(Driven::Elsewhere(holder)),
        }
    }

    /// Writes down what it was started with.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn write_about(&self, about: &About) -> io::Result<()> {
        if let Some(state) = self.folder.parent().and_then(Path::parent) {
            tags::hide_from_git(state)?;
        }
        fs::create_dir_all(&self.folder)?;
        let text = serde_json::to_vec_pretty(about)?;
        let write = |file: &mut fs::File| io::Write::write_all(file, &text);
        crate::cache::index::replace(&self.folder.join(ABOUT), write)
    }

    /// What it was started with.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn about(&self) -> io::Result<About> {
        Ok(serde_json::from_slice(&fs::read(self.folder.join(ABOUT))?)?)
    }

    /// Asks it to end after its present iteration.
    ///
    /// # Errors
    /// When the request cannot be left.
    pub fn ask_to_stop(&self) -> io::Result<()> {
        let inbox = self.folder.join(INBOX);
        fs::create_dir_all(&inbox)?;
        fs::write(inbox.join(STOP), "")
    }

    /// Asks it to change something before its next iteration; the request's name.
    ///
    /// # Errors
    /// When the request cannot be left.
    pub fn ask_to_steer(&self, steering: &Steering) -> io::Result<String> {
        inbox::leave(&self.folder, steering, jiff::Timestamp::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn campaigns_are_found_by_name_or_by_name_and_time_in_the_order_of_their_starts() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |seconds| jiff::Timestamp::from_second(seconds).expect("a time");
        for (name, seconds) in [("b-c", 10_000), ("a", 20_000), ("b", 30_000)] {
            let stored = Stored::new(dir.path(), name, at(seconds));
            fs::create_dir_all(&stored.folder).expect("made");
            fs::write(stored.folder.join(log::FILE), "{}\n").expect("written");
        }
        let all = Stored::all(dir.path());
        let ids: Vec<&str> = all.iter().map(|stored| &stored.id[..]).collect();
        let wanted = ["b-c-19700101T024640Z", "a-19700101T053320Z", "b-19700101T082000Z"];
        assert_eq!(ids, wanted);
        let again = Stored::new(dir.path(), "a", at(20_000));
        assert_eq!(again.id, "a-19700101T053321Z", "no folder is used twice");
        // One that was killed before its first event.
        fs::create_dir_all(again.folder.join("repo")).expect("made");
        fs::write(again.folder.join(log::FILE), "{\"version\"").expect("written");
        Stored::remove_unbegun(dir.path());
        assert!(!again.folder.exists() && all.iter().all(|stored| stored.folder.exists()));
        let called = |name: &str| all.iter().filter(|s| s.is_called(name)).count();
        assert_eq!((called("b"), called("b-c"), called(wanted[0]), called("c")), (1, 1, 1, 0));
    }

    #[test]
    fn one_process_drives_a_campaign() {
        let dir = tempfile::tempdir().expect("a folder");
        let stored = Stored::new(dir.path(), "c", jiff::Timestamp::now());
        let about = About {
            version: ABOUT_VERSION,
            file: "/p/campaign.toml".into(),
            approved: Vec::new(),
            optloop: "0".to_owned(),
            given: Given::default(),
            settings: Vec::new(),
            epoch: 1,
            head: None,
        };
        stored.write_about(&about).expect("written");
        assert_eq!(stored.about().expect("read"), about);
        let held = stored.drive().expect("asked");
        assert!(matches!(held, Driven::Here(_)));
        match stored.drive().expect("asked") {
            Driven::Elsewhere(who) => assert!(who.contains("optloop loop"), "{who}"),
            Driven::Here(_) => panic!("two at once"),
        }
        drop(held);
        assert!(matches!(stored.drive().expect("asked"), Driven::Here(_)));
    }
}
