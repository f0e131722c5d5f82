//! Notes for git and for backup programs: which folders of the state can be made again (<https://bford.info/cachedir/>).

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use crate::cache::index;

const TAG: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55\n";
const NAME: &str = "CACHEDIR.TAG";

/// What is lost with these costs time and nothing else. The rest of the state holds measurements,
/// decisions, and the only copies of candidates that were put aside.
const MADE_AGAIN: [&str; 2] = ["cache", "build"];

/// Makes the state folder ignore itself in git.
///
/// # Errors
/// When it cannot be written.
pub fn hide_from_git(state: &Path) -> io::Result<()> {
    let ignore = state.join(".gitignore");
    if ignore.exists() {
        return Ok(());
    }
    fs::create_dir_all(state)?;
    index::replace(&ignore, |file| file.write_all(b"*\n"))
}

/// Tags what can be made again, and takes back the tag of the whole state that optloop once wrote.
pub(super) fn put(state: &Path) -> io::Result<()> {
    for folder in MADE_AGAIN.map(|name| state.join(name)) {
        let tag = folder.join(NAME);
        if !tag.exists() {
            fs::create_dir_all(&folder)?;
            index::replace(&tag, |file| file.write_all(TAG))?;
        }
    }
    let whole = state.join(NAME);
    if fs::read(&whole).is_ok_and(|text| text == TAG) {
        fs::remove_file(whole)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backups_leave_out_only_what_can_be_made_again() {
        let state = tempfile::tempdir().expect("tempdir");
        let tag = |folder: &str| state.path().join(folder).join(NAME);
        fs::write(tag(""), TAG).expect("written");
        put(state.path()).expect("put");
        assert_eq!(fs::read(tag("cache")).expect("there"), TAG);
        assert_eq!(fs::read(tag("build")).expect("there"), TAG);
        assert!(!tag("").exists(), "the old tag would keep measurements out of backups");
    }

    #[test]
    fn a_tag_that_somebody_else_put_there_stays() {
        let state = tempfile::tempdir().expect("tempdir");
        let whole = state.path().join(NAME);
        let own = [TAG, b"# not worth a backup, says the user\n"].concat();
        fs::write(&whole, &own).expect("written");
        put(state.path()).expect("put");
        assert_eq!(fs::read(&whole).expect("there"), own);
    }
}
