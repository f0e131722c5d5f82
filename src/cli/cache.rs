//! `optloop cache`: what is kept in `.optloop/`, whether it is whole, and getting rid of it.

use std::path::Path;

use super::args::{CacheCommand, Format};
use super::exit::Exit;
use super::lines::Line;
use super::lines::kept::{CacheCollectedLine, CacheStatsLine, CacheVerifiedLine, KEPT_VERSION};
use super::refusal::Refusal;
use super::ui::Ui;
use super::words;
use crate::engine::EngineError;
use crate::engine::upkeep::{self, Freed, Stats, Verified};
use crate::project::host::Disk;
use crate::project::{Access, lock, shown, state_folder};

/// Runs one of them.
pub(super) fn run(command: &CacheCommand, ui: &Ui) -> Exit {
    let state = match state_folder(&Disk) {
        Ok(state) => state,
        Err(error) => return ui.refuse(&error.into()),
    };
    let done = match command {
        CacheCommand::Stats => {
            stats(&state, ui);
            Ok(Exit::Ok)
        }
        CacheCommand::Verify => Ok(verify(&state, ui)),
        CacheCommand::Gc { all } => {
            let what = if *all { What::Everything } else { What::Unneeded };
            gc(&state, what, ui)
        }
    };
    done.unwrap_or_else(|refusal| ui.refuse(&refusal))
}

fn stats(state: &Path, ui: &Ui) {
    let stats = upkeep::stats(state);
    if ui.format == Format::Json {
        ui.json(&Line::CacheStats(CacheStatsLine { version: KEPT_VERSION, stats }));
        return;
    }
    let Stats { results, blobs, bytes, states, runs, oldest_ms, newest_ms } = stats;
    let age = |ms: Option<i64>| ms.map_or_else(|| "none".to_owned(), words::age);
    for (name, value) in [
        ("folder", shown(state).display().to_string()),
        ("results", results.to_string()),
        ("contents", format!("{blobs} (outputs and recorded output)")),
        ("size", bytes_in_words(bytes)),
        ("pipelines", states.to_string()),
        ("runs", runs.to_string()),
        ("oldest", age(oldest_ms)),
        ("newest", age(newest_ms)),
    ] {
        ui.line(&format!("{name:<10} {value}"));
    }
}

/// What a collection removes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Unneeded,
    Everything,
}

fn gc(state: &Path, what: What, ui: &Ui) -> Result<Exit, Refusal> {
    let mut lock = lock(state, Access::Wait, &[ui])?;
    let sign = lock.sign(&format!("pid {} (optloop cache gc)", std::process::id()));
    sign.map_err(EngineError::from)?;
    let root = state.parent().unwrap_or(state);
    let freed = match what {
        What::Everything => upkeep::clear(state),
        What::Unneeded => upkeep::collect(root, state, words::now_ms()),
    };
    let freed = freed.map_err(EngineError::from)?;
    if ui.format == Format::Json {
        ui.json(&Line::CacheCollected(CacheCollectedLine { version: KEPT_VERSION, freed }));
        return Ok(Exit::Ok);
    }
    ui.line(&freed_in_words(&freed));
    Ok(Exit::Ok)
}

fn freed_in_words(freed: &Freed) -> String {
    let parts = [
        (freed.results, "results"),
        (freed.blobs, "contents"),
        (freed.states, "states of pipelines"),
    ];
    let parts: Vec<String> =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    if parts.is_empty() && freed.bytes == 0 {
        return "everything kept is needed or younger than an hour".to_owned();
    }
    let parts = if parts.is_empty() { "what was superseded".to_owned() } else { parts.join(", ") };
    format!("removed {parts}: {} freed", bytes_in_words(freed.bytes))
}

fn verify(state: &Path, ui: &Ui) -> Exit {
    let verified = upkeep::verify(state);
    let exit = if verified.findings.is_empty() { Exit::Ok } else { Exit::Infrastructure };
    if ui.format == Format::Json {
        let version = KEPT_VERSION;
        ui.json(&Line::CacheVerified(CacheVerifiedLine { version, verified }));
        return exit;
    }
    let Verified { results, blobs, states, findings } = &verified;
    for finding in findings {
        ui.line(&format!("{}: {}; {}", finding.what, finding.wrong, finding.then));
    }
    let looked = format!("{results} results, {blobs} contents and {states} states");
    ui.line(&match findings.len() {
        0 => format!("{looked}: everything is what its name says"),
        n => format!("{looked}: {n} damaged"),
    });
    exit
}

fn bytes_in_words(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_in_their_best_unit() {
        for (bytes, text) in
            [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (5 << 30, "5.0 GiB")]
        {
            assert_eq!(bytes_in_words(bytes), text);
        }
    }

    #[test]
    fn what_was_freed_leaves_out_what_was_not() {
        let freed = Freed { results: 2, bytes: 2048, ..Freed::default() };
        assert_eq!(freed_in_words(&freed), "removed 2 results: 2.0 KiB freed");
        assert!(freed_in_words(&Freed::default()).contains("is needed"));
    }
}
