//! A commit that undoes another.

use std::path::Path;

use super::checkout::Checkout;
use super::commit::writer;
use super::{Error, Outside};

/// Makes a commit that undoes another, as `git revert` does; its id.
///
/// # Errors
/// When git refuses, or the two do not fit together any more; nothing has changed then.
pub fn revert_commit(root: &Path, commit: &str, outside: &Outside) -> Result<String, Error> {
    let checkout = Checkout::open(root, outside)?;
    checkout.at_rest()?;
    checkout.tip()?;
    let git = writer(&checkout, outside)?;
    let said = git.run_with_hooks(&["revert", "--no-edit", commit], &[])?;
    let fresh = Checkout::open(root, outside)?;
    if said.is_fine()
        && let Some(id) = fresh.tip()?.commit
    {
        return Ok(id);
    }
    if fresh.at_rest().is_err() {
        git.run(&["revert", "--abort"], &[])?;
    }
    Err(said.blocked("revert"))
}
