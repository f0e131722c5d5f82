//! The end of what an agent prints, while it does.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// More of the end is not looked at, in bytes.
const END: u64 = 4096;

/// Where an iteration's agent's output is kept.
pub fn log_of(folder: &Path, iteration: u32) -> PathBuf {
    folder.join(format!("iterations/{iteration:04}/agent.log"))
}

/// The last line with something on it, without colours and control characters.
pub fn last_line(log: &Path) -> Option<String> {
    let mut file = File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(END))).ok()?;
    let mut bytes = Vec::new();
    file.take(END).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let plain = anstream::adapter::strip_str(&text).to_string();
    let lines = plain.split(['\n', '\r']).map(|line| line.replace(char::is_control, " "));
    lines.map(|line| line.trim().to_owned()).rfind(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_that_says_something_is_found_at_the_end_of_a_long_log() {
        let dir = tempfile::tempdir().expect("a folder");
        let log = log_of(dir.path(), 7);
        assert_eq!(last_line(&log), None);
        std::fs::create_dir_all(log.parent().expect("a folder")).expect("made");
        for (end, wanted) in [
            ("reading k.c\n", Some("reading k.c")),
            ("\u{1b}[32mtrying\u{1b}[0m a\ttile\n\n  \n", Some("trying a tile")),
            ("10 %\r20 %\r", Some("20 %")),
            ("a\u{7}b", Some("ab")),
        ] {
            let before = "x\n".repeat(5000);
            std::fs::write(&log, format!("{before}{end}")).expect("written");
            assert_eq!(last_line(&log).as_deref(), wanted, "{end:?}");
        }
        std::fs::write(&log, "\n\n").expect("written");
        assert_eq!(last_line(&log), None);
    }
}
