//! Where trees lie: outside of the project, so that tools which search upwards (for a workspace, a
//! `conftest.py`, `node_modules`) never find the user's files, and the owner's folder has a link to
//! it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::StatVfsMountFlags;

use super::copy;
use crate::digest::Digest;

/// Says whose trees a home holds: the path of the link.
const OWNER: &str = "owner";
/// So long is a home kept whose owner is not to be seen: a checkout may lie on a disk, or on a
/// machine, that is not always there.
const KEPT: Duration = Duration::from_hours(7 * 24);

/// Who has trees.
pub struct Owner<'a> {
    /// Where the owner's folder links to its home, absolute. Its folder must be there.
    pub link: &'a Path,
    /// The project, which the trees lie outside of.
    pub project: &'a Path,
    /// The environment, of which `XDG_STATE_HOME` and `HOME` are read.
    pub var: &'a dyn Fn(&str) -> Option<OsString>,
}

/// The folder that an owner's trees lie in, made where it is not there: the one that was made before,
/// else one below `$XDG_STATE_HOME/optloop/trees` or `~/.local/state/optloop/trees`. Where neither
/// can be used, the folder is the link's own place.
///
/// # Errors
/// When a folder or the link cannot be written.
pub fn of(owner: &Owner<'_>) -> io::Result<PathBuf> {
    let link = real(owner.link)?;
    if let Some(home) = linked(&link) {
        // It says that the home is used.
        fs::write(home.join(OWNER), link.as_os_str().as_bytes())?;
        return Ok(home);
    }
    let Some(base) = bases(owner.var).into_iter().find_map(|base| usable(&base, owner.project))
    else {
        if link.symlink_metadata().is_ok_and(|there| !there.is_dir()) {
            fs::remove_file(&link)?;
        }
        fs::create_dir_all(&link)?;
        return Ok(link);
    };
    sweep(&base);
    let home = base.join(Digest::of(link.as_os_str().as_bytes()).short());
    make(&home)?;
    fs::write(home.join(OWNER), link.as_os_str().as_bytes())?;
    // Trees of an earlier version, or the link of a copied checkout, which leads to another's.
    copy::remove(&link)?;
    match std::os::unix::fs::symlink(&home, &link) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && linked(&link).is_some() => {}
        made => made?,
    }
    Ok(home)
}

/// Removes an owner's trees and the link to them, if there are any.
///
/// # Errors
/// When something cannot be removed.
pub fn remove(link: &Path) -> io::Result<()> {
    if link.symlink_metadata().is_err() {
        return Ok(());
    }
    let link = real(link)?;
    if let Some(home) = linked(&link) {
        copy::remove(&home)?;
    }
    copy::remove(&link)
}

/// The same link by a path without others.
fn real(link: &Path) -> io::Result<PathBuf> {
    let folder = link.parent().unwrap_or(Path::new("/")).canonicalize()?;
    Ok(folder.join(link.file_name().unwrap_or_default()))
}

/// The home that a link leads to, where that is this link's.
fn linked(link: &Path) -> Option<PathBuf> {
    let home = fs::read_link(link).ok()?;
    let is_own = |home: &PathBuf| {
        fs::read(home.join(OWNER)).is_ok_and(|owner| owner == link.as_os_str().as_bytes())
    };
    Some(home).filter(is_own)
}

fn bases(var: &dyn Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let state = var("XDG_STATE_HOME").map(PathBuf::from);
    let home = var("HOME").map(|home| Path::new(&home).join(".local/state"));
    let all = [state, home].into_iter().flatten().filter(|state| state.is_absolute());
    all.map(|state| state.join("optloop/trees")).collect()
}

/// The folder without links, where trees can lie in it and run.
fn usable(base: &Path, project: &Path) -> Option<PathBuf> {
    // Nothing is made inside of the project to find out that it lies there.
    let there = base.ancestors().find(|folder| folder.exists())?;
    let project = project.canonicalize().ok()?;
    if there.canonicalize().ok()?.starts_with(project) {
        return None;
    }
    make(base).ok()?;
    let base = base.canonicalize().ok()?;
    let runs = rustix::fs::statvfs(&base).ok()?;
    let is_writable = rustix::fs::access(&base, rustix::fs::Access::WRITE_OK).is_ok();
    let runs = !runs.f_flag.intersects(StatVfsMountFlags::NOEXEC | StatVfsMountFlags::RDONLY);
    (is_writable && runs).then_some(base)
}

/// Trees are copies of what may be nobody else's business.
fn make(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Removes homes whose owners are gone for long. One that cannot be removed takes room only.
fn sweep(base: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let home = entry.path();
        let Ok(owner) = fs::read(home.join(OWNER)) else { continue };
        let link = Path::new(OsStr::from_bytes(&owner));
        let used = home.join(OWNER).metadata().and_then(|found| found.modified());
        let is_old = used.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > KEPT));
        if is_old && fs::read_link(link).ok().as_ref() != Some(&home) {
            drop(copy::remove(&home));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World(tempfile::TempDir);

    impl World {
        fn new() -> Self {
            let world = Self(tempfile::tempdir().expect("a folder"));
            fs::create_dir_all(world.at("project/.optloop")).expect("made");
            world
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.path().canonicalize().expect("there").join(name)
        }

        fn link(&self) -> PathBuf {
            self.at("project/.optloop/trees")
        }

        fn home(&self, project: &str, state: &str) -> PathBuf {
            let link = self.at(project).join(".optloop/trees");
            let state = self.at(state);
            let var = |name: &str| (name == "XDG_STATE_HOME").then(|| state.clone().into());
            let project = self.at(project);
            of(&Owner { link: &link, project: &project, var: &var }).expect("a home")
        }
    }

    #[test]
    fn trees_lie_outside_of_the_project_always_at_the_same_place_and_leave_nothing() {
        let world = World::new();
        let home = world.home("project", "state");
        assert!(home.starts_with(world.at("state/optloop/trees")), "{}", home.display());
        assert_eq!(world.link().canonicalize().expect("a link"), home);
        fs::write(home.join("a"), "").expect("written");
        assert_eq!(world.home("project", "state"), home);
        // What was made stays in use, whatever the environment says later.
        assert_eq!(world.home("project", "elsewhere"), home);
        assert!(!world.at("elsewhere").exists());
        remove(&world.link()).expect("removed");
        assert!(!home.exists() && world.link().symlink_metadata().is_err());
        remove(&world.link()).expect("nothing to do");
    }

    #[test]
    fn a_copied_project_has_trees_of_its_own() {
        let world = World::new();
        let home = world.home("project", "state");
        fs::create_dir_all(world.at("copy/.optloop")).expect("made");
        std::os::unix::fs::symlink(&home, world.at("copy/.optloop/trees")).expect("a link");
        let other = world.home("copy", "state");
        assert_ne!(other, home);
        remove(&world.at("copy/.optloop/trees")).expect("removed");
        assert!(home.exists() && !other.exists());
    }

    #[test]
    fn a_link_that_is_none_of_its_makers_is_not_followed() {
        let world = World::new();
        fs::create_dir_all(world.at("precious")).expect("made");
        std::os::unix::fs::symlink(world.at("precious"), world.link()).expect("a link");
        remove(&world.link()).expect("removed");
        assert!(world.at("precious").exists() && !world.link().exists());
    }

    #[test]
    fn where_there_is_no_place_outside_trees_lie_with_their_owner() {
        let world = World::new();
        // A whole home folder may be the project.
        assert_eq!(world.home("project", "project/state"), world.link());
        assert!(!world.at("project/state").exists());
        // Later there is one: what an earlier version left gives way.
        fs::write(world.link().join("a"), "").expect("written");
        assert!(!world.home("project", "state").join("a").exists());
    }

    #[test]
    fn homes_whose_owners_are_gone_for_long_are_removed() {
        let world = World::new();
        let (gone, fresh, kept) = ("gone", "fresh", "project");
        let homes = [gone, fresh, kept].map(|name| {
            fs::create_dir_all(world.at(name).join(".optloop")).expect("made");
            world.home(name, "state")
        });
        let old = std::time::SystemTime::now() - KEPT - Duration::from_mins(1);
        for home in [&homes[0], &homes[2]] {
            let file = fs::File::options().write(true).open(home.join(OWNER)).expect("there");
            file.set_modified(old).expect("set");
        }
        fs::remove_dir_all(world.at(gone)).expect("removed");
        fs::remove_dir_all(world.at(fresh)).expect("removed");
        fs::create_dir_all(world.at("new/.optloop")).expect("made");
        world.home("new", "state");
        assert_eq!(homes.map(|home| home.exists()), [false, true, true]);
    }
}
