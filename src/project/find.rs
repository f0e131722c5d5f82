//! Finding a pipeline, and the root that its state belongs to.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::ProjectError;
use crate::git::Outside;
use crate::host::Host;
use crate::plan::build::relative;
use crate::process::Cancel;

/// A pipeline file in its place: where everything else begins.
#[derive(Clone)]
pub struct Project<'h> {
    /// Files, variables, devices and tools.
    pub host: &'h dyn Host,
    /// The pipeline file as people wrote or would write it.
    pub file: PathBuf,
    /// Its folder, absolute.
    pub dir: PathBuf,
    /// The root, absolute: the state lies in `.optloop/` below it.
    pub root: PathBuf,
}

impl<'h> Project<'h> {
    /// Finds a pipeline: as given, then below `pipelines/`, each also with `.toml`.
    ///
    /// # Errors
    /// When there is none, or its folder has a name that is no text.
    pub fn find(name: &str, host: &'h dyn Host) -> Result<Self, ProjectError> {
        let project = Self::locate(name, host)?;
        match project.dir.to_str() {
            Some(_) => Ok(project),
            None => Err(ProjectError::FolderNotText { folder: project.dir }),
        }
    }

    fn locate(name: &str, host: &'h dyn Host) -> Result<Self, ProjectError> {
        let tried = [
            PathBuf::from(name),
            PathBuf::from(format!("{name}.toml")),
            Path::new("pipelines").join(name),
            Path::new("pipelines").join(format!("{name}.toml")),
        ];
        let nowhere = |tried: &[PathBuf]| ProjectError::NoPipeline {
            name: name.to_owned(),
            tried: tried.to_vec(),
        };
        let file = tried.iter().find(|p| p.is_file()).ok_or_else(|| nowhere(&tried))?;
        let parent = match file.parent() {
            Some(p) if !p.as_os_str().is_empty() => p,
            _ => Path::new("."),
        };
        let dir = parent.canonicalize().map_err(|_| nowhere(std::slice::from_ref(file)))?;
        let root = root_of(&dir, host);
        Ok(Self { host, file: file.clone(), dir, root })
    }

    /// The state folder.
    pub fn state(&self) -> PathBuf {
        self.root.join(".optloop")
    }

    /// A path below the root, as seen from the pipeline's folder: relative when both lie below the
    /// root, so that moving the project keeps every key.
    pub fn from_pipeline(&self, below_root: &str) -> String {
        match self.dir.strip_prefix(&self.root) {
            Ok(below) if !below_root.starts_with('/') => {
                "../".repeat(below.components().count()) + below_root
            }
            _ => below_root.to_owned(),
        }
    }

    /// A path that is named from where this process is, as the pipeline would name it.
    pub fn from_here(&self, path: &Path) -> String {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        self.from_pipeline(&relative(&self.root, &self.root, &absolute.to_string_lossy()))
    }

    /// An absolute path as it is named from the root: relative where it lies below.
    pub(super) fn below_root(&self, path: &Path) -> String {
        relative(&self.root, Path::new(""), &path.to_string_lossy())
    }

    /// git, for reading.
    pub(super) fn git(&self) -> Outside {
        Outside::of(self.host, Cancel::default())
    }
}

/// The state folder of the root around the folder that this process is in.
///
/// # Errors
/// [`ProjectError::NoState`] when nothing has run there.
pub fn state_folder(host: &dyn Host) -> Result<PathBuf, ProjectError> {
    let folder = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let state = root_of(&folder, host).join(".optloop");
    if state.is_dir() { Ok(state) } else { Err(ProjectError::NoState { folder }) }
}

/// The root for files of this folder (canonical) that no pipeline names: as for pipelines, or else
/// where this process is, when the folder lies below.
pub(super) fn root_for(dir: &Path, host: &dyn Host) -> PathBuf {
    let root = root_of(dir, host);
    let here = std::env::current_dir().and_then(|h| h.canonicalize());
    match here {
        Ok(here) if root == dir && dir.starts_with(&here) => here,
        _ => root,
    }
}

/// The nearest folder upwards that has state or is a git checkout (`.git` is a file in a linked
/// worktree); else the folder that holds `pipelines/`, else the pipeline's own.
fn root_of(dir: &Path, host: &dyn Host) -> PathBuf {
    let home = host.var("HOME").map(PathBuf::from).and_then(|home| home.canonicalize().ok());
    root_below(dir, home.as_deref())
}

fn root_below(dir: &Path, home: Option<&Path>) -> PathBuf {
    let in_pipelines = dir.file_name().is_some_and(|name| name == "pipelines");
    let parent = dir.parent().filter(|_| in_pipelines);
    let is_root = |folder: &&Path| {
        // What somebody measured in such a folder says nothing about projects further down.
        let takes = *folder == dir || parent == Some(folder) || !is_for_everything(folder, home);
        folder.join(".git").exists() || (takes && folder.join(".optloop").is_dir())
    };
    dir.ancestors().find(is_root).unwrap_or(parent.unwrap_or(dir)).to_owned()
}

/// Whether a folder is no project but a place for all of them: the file system's root, the home
/// folder, a folder for temporary files.
fn is_for_everything(folder: &Path, home: Option<&Path>) -> bool {
    const STICKY_AND_OPEN: u32 = 0o1002;
    let mode = std::fs::metadata(folder).map(|m| m.permissions().mode()).unwrap_or_default();
    folder.parent().is_none() || Some(folder) == home || mode & STICKY_AND_OPEN == STICKY_AND_OPEN
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A folder with these below it, and its path.
    fn tree(folders: &[&str]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("tempdir");
        let root = dir.path().canonicalize().expect("path");
        for folder in folders {
            fs::create_dir_all(root.join(folder)).expect("folder");
        }
        (dir, root)
    }

    #[test]
    fn the_nearest_folder_with_state_or_a_checkout_is_the_root() {
        let (_dir, root) = tree(&[".optloop", "a/.git", "a/b/c", "a/state/.optloop", "plain/x"]);
        fs::create_dir_all(root.join("a/tree/k")).expect("folder");
        fs::write(root.join("a/tree/.git"), "gitdir: elsewhere\n").expect("written");
        for (dir, wanted) in [
            ("a/b/c", "a"),
            ("a", "a"),
            ("a/state", "a/state"),
            ("a/tree/k", "a/tree"),
            ("plain/x", ""),
        ] {
            assert_eq!(root_below(&root.join(dir), None), root.join(wanted), "{dir}");
        }
    }

    #[test]
    fn state_in_a_home_or_a_folder_for_temporary_files_takes_nothing_further_down() {
        let (_dir, root) = tree(&["home/.optloop", "home/p/pipelines", "home/q", "home/pipelines"]);
        let home = root.join("home");
        let found = |dir: &str, home: Option<&Path>| root_below(&root.join(dir), home);
        assert_eq!(found("home/p/pipelines", Some(&home)), home.join("p"));
        assert_eq!(found("home/q", Some(&home)), home.join("q"));
        assert_eq!(found("home/q", None), home);
        for own in ["home", "home/pipelines"] {
            assert_eq!(found(own, Some(&home)), home, "{own}");
        }
        fs::set_permissions(&home, fs::Permissions::from_mode(0o1777)).expect("set");
        assert_eq!(found("home/q", None), home.join("q"));
    }
}
