//! `optloop man`.

use std::io;
use std::path::Path;

use clap::CommandFactory;

use super::args::{Cli, ManArgs};
use super::exit::Exit;
use super::refusal::Refusal;
use super::ui::Ui;

/// Prints the page of the program, or writes a page for each command.
pub(super) fn run(args: &ManArgs, ui: &Ui) -> Exit {
    let result = match &args.out {
        None => page().map(|text| ui.text(&text)),
        Some(dir) => pages(dir).map(|()| ui.note(&format!("pages written to {}", dir.display()))),
    };
    match result {
        Ok(()) => Exit::Ok,
        Err(e) => {
            let place = args.out.as_deref().unwrap_or(Path::new("the page"));
            let words = format!("cannot write {}: {e}", place.display());
            ui.refuse(&Refusal::Words(words, None, Exit::User))
        }
    }
}

fn page() -> io::Result<String> {
    let mut text = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn pages(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    clap_mangen::generate_to(Cli::command(), dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_page_for_every_command() {
        let dir = tempfile::tempdir().expect("tempdir");
        pages(&dir.path().join("new")).expect("written");
        for command in Cli::command().get_subcommands() {
            let name = format!("new/optloop-{}.1", command.get_name());
            let text = std::fs::read_to_string(dir.path().join(&name)).expect(&name);
            assert!(text.contains(".SH SYNOPSIS"), "{name}");
        }
        assert!(page().expect("rendered").contains("Exit codes"));
    }
}
