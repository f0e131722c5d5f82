//! Finds the file that a command's name stands for.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

/// The absolute path of `program`: a name with a slash is relative to `dir`, any other is
/// looked up in `path_var`, whose relative entries are relative to `dir` too.
pub fn resolve(program: &OsStr, dir: &Path, path_var: &OsStr) -> Option<PathBuf> {
    if program.is_empty() {
        return None;
    }
    if program.as_bytes().contains(&b'/') {
        return Some(dir.join(program)).filter(|path| is_executable(path));
    }
    std::env::split_paths(path_var)
        .map(|entry| dir.join(entry).join(program))
        .find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file())
        && access(path, Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn world() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for (name, mode) in [("bin/tool", 0o755), ("other/tool", 0o755), ("bin/text", 0o644)] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("created");
            fs::write(&path, "").expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
        }
        fs::create_dir(dir.path().join("other/bin")).expect("created");
        dir
    }

    #[test]
    fn names_are_found_as_a_shell_finds_them() {
        let dir = world();
        let at = |name: &str| Some(dir.path().join(name));
        let absolute = format!("{}/other:{}/bin", dir.path().display(), dir.path().display());
        let table = [
            ("tool", absolute.as_str(), at("other/tool")),
            ("tool", "bin:other", at("bin/tool")),
            ("text", "bin", None),
            ("bin", "other", None),
            ("missing", "bin:other", None),
            ("bin/tool", "", at("bin/tool")),
            ("./bin/tool", "other", at("./bin/tool")),
            ("bin/text", "", None),
            ("", "bin", None),
        ];
        for (program, path_var, expected) in table {
            let found = resolve(OsStr::new(program), dir.path(), OsStr::new(path_var));
            assert_eq!(found, expected, "{program} in {path_var}");
        }
    }

    #[test]
    fn an_absolute_name_needs_no_path() {
        assert_eq!(
            resolve(OsStr::new("/bin/sh"), Path::new("/"), OsStr::new("")),
            Some("/bin/sh".into())
        );
    }
}
