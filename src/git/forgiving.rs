//! The library, where the user's settings cannot be read.
//!
//! It looks at `~/.gitconfig` whenever it opens a repository, and fails where it may not: in a
//! container, say, whose home folder belongs to somebody else. A repository of optloop's own takes
//! nothing from there.
#![expect(unsafe_code, reason = "where settings lie is one value for the whole library")]

use std::sync::Once;

use git2::ConfigLevel;

/// Does something, and once more without the user's settings where these cannot be looked at.
///
/// # Errors
/// Those of the last time.
pub(super) fn forgiving<T>(work: impl Fn() -> Result<T, git2::Error>) -> Result<T, git2::Error> {
    static ONCE: Once = Once::new();
    match work() {
        Err(error) if is_about_settings(&error) => {
            ONCE.call_once(do_without);
            work()
        }
        other => other,
    }
}

fn is_about_settings(error: &git2::Error) -> bool {
    [".gitconfig'", "git/config'"].iter().any(|name| error.message().ends_with(name))
}

fn do_without() {
    for level in [ConfigLevel::Global, ConfigLevel::XDG] {
        // SAFETY: the library reads this value when it opens a repository. No other thread of a
        // campaign does so at its start, and none could: opening fails until this is done.
        let set = unsafe { git2::opts::set_search_path(level, "") };
        // It fails again then, and that is told.
        drop(set);
    }
}
