//! What a command is to write is out of its way before it starts: what it leaves is then its own
//! work, here as in a fresh clone, and a command that writes nothing is not credited with an old
//! file. Files that it does not declare stay, so tools that build on them do.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Old outputs, until it is known what became of the command.
pub(super) struct SetAside(Vec<Moved>);

struct Moved {
    place: PathBuf,
    kept: PathBuf,
}

impl SetAside {
    /// Moves the files at `places` to names that start with `kept`, and makes their folders.
    ///
    /// # Errors
    /// The place for which that cannot be done.
    pub(super) fn of(places: &[PathBuf], kept: &Path) -> Result<Self, (PathBuf, io::Error)> {
        let mut aside = Self(Vec::new());
        for (position, place) in places.iter().enumerate() {
            let mut name = kept.as_os_str().to_owned();
            name.push(format!(".{position}"));
            match clear(place, Path::new(&name)) {
                Ok(true) => aside.0.push(Moved { place: place.clone(), kept: name.into() }),
                Ok(false) => {}
                Err(e) => return Err((place.clone(), e)),
            }
        }
        Ok(aside)
    }

    /// After a failure: what the command has not written anew is what it was.
    pub(super) fn put_back(self) {
        for Moved { place, kept } in &self.0 {
            if fs::symlink_metadata(place).is_err() {
                // It was of no use to anybody but people; the failure is what matters now.
                drop(fs::rename(kept, place));
            }
        }
    }
}

impl Drop for SetAside {
    fn drop(&mut self) {
        for moved in &self.0 {
            // What stays is swept up by the next run.
            drop(fs::remove_file(&moved.kept));
        }
    }
}

/// True when there was a file, which now has the name `kept`. A folder is nothing that a command
/// declares, and stays.
fn clear(place: &Path, kept: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(place) {
        Ok(found) if found.is_dir() => Ok(false),
        Ok(_) => match fs::rename(place, kept) {
            Err(e) if e.kind() == io::ErrorKind::CrossesDevices => {
                fs::remove_file(place).map(|()| false)
            }
            moved => moved.map(|()| true),
        },
        Err(_) => {
            let folder = place.parent().filter(|folder| !folder.is_dir());
            folder.map_or(Ok(()), fs::create_dir_all).map(|()| false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_output_is_away_while_the_command_runs_and_back_after_a_failure() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = |name: &str| dir.path().join(name);
        let places = ["old", "written", "new/deep"].map(path);
        for old in &places[..2] {
            fs::write(old, "old").expect("written");
        }
        let aside = || SetAside::of(&places, &path("aside")).map_err(|e| e.1).expect("moved");
        let first = aside();
        assert!(!places[0].exists() && path("new").is_dir());
        fs::write(&places[1], "half").expect("written");
        first.put_back();
        let read = |place: &Path| fs::read_to_string(place).expect("there");
        assert_eq!((read(&places[0]).as_str(), read(&places[1]).as_str()), ("old", "half"));
        drop(aside());
        let left: Vec<_> = fs::read_dir(dir.path()).expect("listed").flatten().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }
}
