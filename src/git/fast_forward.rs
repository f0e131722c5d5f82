//! The user's branch, moved forward to commits that were made for it.

use std::path::Path;

use super::checkout::Checkout;
use super::commit::writer;
use super::{Error, Outside};
use crate::process::Exit;

/// Moves the branch that is checked out to another one, with its files, as `git merge --ff-only`
/// does: nothing happens where a file in its way differs from HEAD. The branch's full name.
///
/// # Errors
/// When HEAD is detached, a merge or the like is under way, the other branch does not begin at HEAD,
/// or git refuses; nothing has changed then.
pub fn fast_forward(root: &Path, branch: &str, outside: &Outside) -> Result<String, Error> {
    let checkout = Checkout::open(root, outside)?;
    checkout.at_rest()?;
    let tip = checkout.tip()?;
    let reference = format!("refs/heads/{branch}");
    let doing = format!("moving `{}` to `{branch}`", tip.branch);
    let head = tip.commit.unwrap_or_default();
    if !is_ancestor(root, [&head, &reference], outside)? {
        let why = "it has commits that the other one does not have";
        return Err(Error::failed(doing)(why));
    }
    // A stash that comes back in conflict would be in the user's way.
    let git = writer(&checkout, outside)?.set("merge.autoStash=false");
    let said = git.run_with_hooks(&["merge", "--ff-only", "--quiet", &reference], &[])?;
    if said.is_fine() { Ok(tip.branch) } else { Err(said.blocked("merge")) }
}

/// Whether the first of two commits, or names of them, is the second or one before it.
///
/// # Errors
/// When the repository around `root` cannot be read.
pub fn is_ancestor(root: &Path, two: [&str; 2], outside: &Outside) -> Result<bool, Error> {
    let checkout = Checkout::open(root, outside)?;
    let git = writer(&checkout, outside)?;
    let said = git.ask(&["merge-base", "--is-ancestor", two[0], two[1]], &[])?;
    Ok(said.exit == Exit::Code(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::world_tests::{World, outside};

    #[test]
    fn a_branch_moves_with_its_files_where_nothing_is_in_the_way() {
        let world = World::with(&[("k.c", "a\n"), ("other.c", "o\n")]);
        let checkout = Checkout::open(&world.root, &outside()).expect("a checkout");
        let program = writer(&checkout, &outside()).expect("git");
        let git = |words: &[&str]| {
            let said = program.run(words, &[]).expect("git runs");
            assert!(said.is_fine(), "{words:?}");
        };
        let tip = || world.repository().head().expect("HEAD").target().expect("it").to_string();
        let first = tip();
        git(&["checkout", "-q", "-b", "optloop/c"]);
        world.write("k.c", "better\n");
        git(&["commit", "-qam", "better"]);
        let better = tip();
        git(&["checkout", "-q", "main"]);
        let forward = || fast_forward(&world.root, "optloop/c", &outside());
        let text = || std::fs::read_to_string(world.at("k.c")).expect("there");

        world.write("k.c", "mine\n");
        assert!(forward().is_err());
        assert_eq!((&text()[..], tip()), ("mine\n", first.clone()));
        git(&["checkout", "-q", "--", "k.c"]);
        git(&["checkout", "-q", "--detach"]);
        assert!(matches!(forward(), Err(Error::Detached { .. })));
        git(&["checkout", "-q", "main"]);

        world.write("other.c", "in the works\n");
        assert_eq!(forward().expect("moved"), "refs/heads/main");
        assert_eq!((&text()[..], tip()), ("better\n", better.clone()));
        assert_eq!(std::fs::read_to_string(world.at("other.c")).expect("there"), "in the works\n");
        assert!(is_ancestor(&world.root, [&first, &better], &outside()).expect("asked"));
        assert!(!is_ancestor(&world.root, [&better, &first], &outside()).expect("asked"));

        git(&["commit", "-qam", "mine"]);
        let why = forward().expect_err("it went another way").to_string();
        assert!(why.contains("commits that the other one does not have"), "{why}");
    }
}
