//! A line that moves while a campaign runs on a terminal: what it is at, for how long, and the last
//! thing that the agent printed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::campaign::history::History;
use crate::campaign::standing::Phase;
use crate::campaign::tail;
use crate::cli::ui::Ui;

/// What is slower than this is fast enough to read, and disturbs no measurement.
const TICK: Duration = Duration::from_secs(1);
/// What stays on one line of a terminal of 80, behind the rest.
const WIDEST: usize = 40;

/// The line; none where nothing may move.
pub(super) struct Live {
    bar: Option<ProgressBar>,
    folder: PathBuf,
    /// What the agent prints, while it works.
    log: Arc<Mutex<Option<PathBuf>>>,
}

impl Live {
    /// A line for a campaign's folder.
    pub(super) fn new(ui: &Ui, folder: &Path) -> Self {
        let log: Arc<Mutex<Option<PathBuf>>> = Arc::default();
        let bar = style(&log).and_then(|style| ui.spinner(style));
        if let Some(bar) = &bar {
            bar.enable_steady_tick(TICK);
        }
        Self { bar, folder: folder.to_owned(), log }
    }

    /// Shows what it is at now.
    pub(super) fn show(&self, history: &History) {
        let Some(bar) = &self.bar else { return };
        let phase = Phase::of(history);
        let number = history.next_number() - 1;
        if let Ok(mut log) = self.log.lock() {
            *log = (phase == Phase::Agent).then(|| tail::log_of(&self.folder, number));
        }
        if phase == Phase::Ended {
            bar.finish_and_clear();
            return;
        }
        bar.set_message(phase.words());
        bar.reset_elapsed();
        bar.tick();
    }

    /// Takes the line away.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(log: &Arc<Mutex<Option<PathBuf>>>) -> Option<ProgressStyle> {
    let log = Arc::clone(log);
    let agent = move |_: &indicatif::ProgressState, text: &mut dyn std::fmt::Write| {
        let place = log.lock().ok().and_then(|log| log.clone());
        if let Some(line) = place.and_then(|place| tail::last_line(&place)) {
            let line: String = line.chars().take(WIDEST).collect();
            let _drawn_again_later = text.write_str(&line);
        }
    };
    let style = ProgressStyle::with_template("{spinner} {msg} for {elapsed}  {agent}").ok()?;
    Some(style.with_key("agent", agent))
}
