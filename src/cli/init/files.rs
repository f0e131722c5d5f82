//! Files that are written once, and what is said of them.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use crate::cli::args::Format;
use crate::cli::exit::Exit;
use crate::cli::lines::Line;
use crate::cli::lines::kept::{Done, InitLine, KEPT_VERSION};
use crate::cli::refusal::Refusal;
use crate::cli::ui::Ui;

/// What keeps the state out of git.
pub(super) const IGNORED: &str = ".optloop/";

/// Says what became of a file.
pub(super) fn tell(ui: &Ui, name: &str, done: Done) {
    if ui.format == Format::Json {
        let file = name.to_owned();
        ui.json(&Line::InitFile(InitLine { version: KEPT_VERSION, file, done }));
    } else if !ui.quiet {
        let words = match done {
            Done::Written => format!("wrote    {name}"),
            Done::Same => format!("there    {name}"),
            Done::Kept => format!("KEPT     {name}: it is there with another content"),
            Done::Extended => format!("added    {IGNORED} to {name}"),
        };
        ui.line(&words);
    }
}

/// Refuses with a file that cannot be written.
pub(super) fn refusal(path: &Path, error: &io::Error) -> Refusal {
    let hint = "name a folder that you may write to: optloop init DIR".to_owned();
    Refusal::Words(format!("cannot write {}: {error}", path.display()), Some(hint), Exit::User)
}

/// Creates a file, with its folders; one that exists is only compared.
pub(super) fn write_new(path: &Path, text: &str) -> io::Result<Done> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => file.write_all(text.as_bytes()).map(|()| Done::Written),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            let same = std::fs::read(path).is_ok_and(|there| there == text.as_bytes());
            Ok(if same { Done::Same } else { Done::Kept })
        }
        Err(e) => Err(e),
    }
}
