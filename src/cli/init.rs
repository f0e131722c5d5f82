//! `optloop init`: a working example in a folder, and the two commands to go on with.

mod campaign;
mod files;

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use super::args::{Format, InitArgs};
use super::exit::Exit;
use super::lines::kept::Done;
use super::ui::Ui;
use files::{IGNORED, refusal, tell, write_new};

/// The example: what this repository ships and tests, byte for byte.
const FILES: [(&str, &str); 11] = [
    ("pipelines/candidate.toml", include_str!("../../pipelines/candidate.toml")),
    ("pipelines/smoke.toml", include_str!("../../pipelines/smoke.toml")),
    ("kernels/softmax/problem.toml", include_str!("../../kernels/softmax/problem.toml")),
    ("kernels/softmax/reference.c", include_str!("../../kernels/softmax/reference.c")),
    ("kernels/softmax/softmax.c", include_str!("../../kernels/softmax/softmax.c")),
    ("kernels/vector_add/problem.toml", include_str!("../../kernels/vector_add/problem.toml")),
    ("kernels/vector_add/reference.c", include_str!("../../kernels/vector_add/reference.c")),
    ("kernels/vector_add/vector_add.c", include_str!("../../kernels/vector_add/vector_add.c")),
    (
        "kernels/vector_add/vector_add_fast.c",
        include_str!("../../kernels/vector_add/vector_add_fast.c"),
    ),
    ("Makefile", include_str!("../../docs/make/Makefile")),
    ("justfile", include_str!("../../docs/make/justfile")),
];

/// Writes what is not there yet. Files that exist stay as they are: that is said, and no error.
pub(super) fn run(args: &InitArgs, ui: &Ui) -> Exit {
    if args.campaign {
        return campaign::run(args, ui).unwrap_or_else(|refusal| ui.refuse(&refusal));
    }
    let mut kept = 0;
    for (name, text) in FILES {
        match write_new(&args.dir.join(name), text) {
            Ok(done) => {
                kept += usize::from(done == Done::Kept);
                tell(ui, name, done);
            }
            Err(e) => return ui.refuse(&refusal(&args.dir.join(name), &e)),
        }
    }
    match ignore_state(&args.dir) {
        Ok(Some(done)) => tell(ui, ".gitignore", done),
        Ok(None) => {}
        Err(e) => return ui.refuse(&refusal(&args.dir.join(".gitignore"), &e)),
    }
    if ui.format == Format::Human && !ui.quiet {
        ui.text(&next_steps(&args.dir, kept));
    }
    Exit::Ok
}

fn next_steps(dir: &Path, kept: usize) -> String {
    let kept = match kept {
        0 => "",
        _ => {
            "\nFiles that were there have not been touched; move one away and run init again to get \
             the example's.\n"
        }
    };
    let cd = match dir {
        here if here == Path::new(".") => String::new(),
        there => format!("  cd {}\n", there.display()),
    };
    format!(
        "{kept}\nNext:\n{cd}  optloop pipeline candidate.toml    builds, checks and measures \
         kernels/softmax/softmax.c\n  optloop explain candidate.toml     says what would run again, \
         and why\n"
    )
}

/// In a git checkout, one line that keeps the state out of it. Nothing elsewhere.
fn ignore_state(dir: &Path) -> io::Result<Option<Done>> {
    let whole = dir.canonicalize()?;
    if !whole.ancestors().any(|a| a.join(".git").exists()) {
        return Ok(None);
    }
    let path = dir.join(".gitignore");
    let old = match std::fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(e),
    };
    let text = old.as_deref().unwrap_or_default();
    if text
        .lines()
        .any(|l| matches!(l.trim(), ".optloop" | ".optloop/" | "/.optloop" | "/.optloop/"))
    {
        return Ok(Some(Done::Same));
    }
    let separator = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    file.write_all(format!("{separator}{IGNORED}\n").as_bytes())?;
    Ok(Some(if old.is_some() { Done::Extended } else { Done::Written }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_is_never_touched() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("a/b.toml");
        for (text, done) in [("one", Done::Written), ("one", Done::Same), ("two", Done::Kept)] {
            assert_eq!(write_new(&path, text).expect("written"), done);
            assert_eq!(std::fs::read_to_string(&path).expect("read"), "one");
        }
    }

    #[test]
    fn the_state_is_ignored_once_and_only_in_a_checkout() {
        let dir = tempfile::tempdir().expect("tempdir");
        // A temporary folder below a checkout would be one too.
        if dir.path().ancestors().any(|a| a.join(".git").exists()) {
            return;
        }
        assert_eq!(ignore_state(dir.path()).expect("looked"), None);
        std::fs::create_dir(dir.path().join(".git")).expect("created");
        let ignore = dir.path().join(".gitignore");
        for (old, done, new) in [
            (None, Done::Written, ".optloop/\n"),
            (Some("target"), Done::Extended, "target\n.optloop/\n"),
            (Some("/.optloop\n"), Done::Same, "/.optloop\n"),
        ] {
            drop(std::fs::remove_file(&ignore));
            if let Some(old) = old {
                std::fs::write(&ignore, old).expect("written");
            }
            assert_eq!(ignore_state(dir.path()).expect("looked"), Some(done));
            assert_eq!(std::fs::read_to_string(&ignore).expect("read"), new);
        }
    }

    #[test]
    fn the_next_steps_begin_in_the_folder() {
        let here = next_steps(Path::new("."), 0);
        assert!(
            !here.contains("cd ") && here.contains("optloop pipeline candidate.toml"),
            "{here}"
        );
        let there = next_steps(Path::new("new"), 1);
        assert!(there.contains("  cd new\n") && there.contains("not been touched"), "{there}");
    }
}
