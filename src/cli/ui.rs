//! Everything that reaches the terminal: results on standard output, progress on standard error.

use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Mutex;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::args::{Format, Global, Logs, When};
use super::exit::Exit;
use super::lines::Line;
use super::output::{Delivered, Output};
use super::refusal::Refusal;
use super::verdict::{self, Replayed};
use super::words::{self, Changes};
use super::{board, table};
use crate::diagnostic;
use crate::engine::event::{Reason, StageFinished};
use crate::engine::{Event, Outcome};
use crate::project::host;
use crate::project::promotion::Recovered;
use crate::project::{Notice, Observer, RunReport};
use crate::record::incumbent::End;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const ADVICE: Style = AnsiColor::Cyan.on_default().bold();
const RAN: Style = AnsiColor::Green.on_default();
const KNOWN: Style = AnsiColor::Cyan.on_default();
const HELD_BACK: Style = AnsiColor::Yellow.on_default();

/// The one printer.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct Ui {
    pub(super) format: Format,
    pub(super) quiet: bool,
    /// Colours on standard error.
    color: bool,
    /// Say which fields changed.
    pub(super) explain: bool,
    pub(super) logs: Logs,
    /// Results are not printed at all (`--artifact-only`).
    pub(super) mute: bool,
    out: Output,
    bars: Option<MultiProgress>,
    /// The bars of stages that run.
    running: Mutex<HashMap<String, ProgressBar>>,
}

impl Ui {
    /// A printer for these flags.
    pub(super) fn new(global: &Global, out: &Output) -> Self {
        let set = |name: &str| host::text_variable(name).is_some_and(|v| !v.is_empty());
        let dumb = host::text_variable("TERM").is_some_and(|t| t == "dumb");
        let terminal = io::stderr().is_terminal() && !dumb;
        let color = match global.color {
            When::Always => true,
            When::Never => false,
            When::Auto => AutoStream::choice(&io::stderr()) != ColorChoice::Never,
        };
        let moving = terminal && !set("CI") && !global.quiet && global.format == Format::Human;
        Self {
            format: global.format,
            quiet: global.quiet,
            color,
            explain: false,
            logs: Logs::All,
            mute: false,
            out: out.clone(),
            bars: moving.then(MultiProgress::new),
            running: Mutex::default(),
        }
    }

    /// A line that moves at the bottom of a terminal; none elsewhere.
    pub(super) fn spinner(&self, style: ProgressStyle) -> Option<ProgressBar> {
        let bar = self.bars.as_ref()?.add(ProgressBar::new_spinner());
        bar.set_style(style);
        Some(bar)
    }

    /// A line of a result, on standard output.
    pub(super) fn line(&self, text: &str) {
        self.text(&format!("{text}\n"));
    }

    /// Prints without tearing the bars.
    fn aside(&self, print: impl FnOnce()) {
        match &self.bars {
            Some(bars) => bars.suspend(print),
            None => print(),
        }
    }

    /// Text as it is, on standard output.
    pub(super) fn text(&self, text: &str) {
        self.aside(|| self.out.write(text.as_bytes()));
    }

    /// The code of the command once all results are out.
    pub(super) fn end(&self, exit: Exit) -> Exit {
        match self.out.end(exit) {
            Delivered::As(exit) => exit,
            Delivered::Lost(error) => {
                let what = format!("the results could not be written to standard output: {error}");
                self.refuse_in_words(&what, None);
                exit.max(Exit::Infrastructure)
            }
        }
    }

    /// Why a run is not on disk as a whole.
    pub(super) fn unrecorded(&self, error: &io::Error) {
        self.refuse_in_words(&error.to_string(), None);
    }

    /// Whose recorded output is shown, unless the terminal is to be quiet.
    pub(super) fn show_logs(&mut self, logs: Logs) {
        self.logs = if self.quiet { Logs::None } else { logs };
    }

    /// A verdict that was found again.
    pub(super) fn replayed(&self, found: &Replayed<'_>) {
        match self.format {
            Format::Json => self.json(&verdict::replayed(found)),
            Format::Human => self.line(&verdict::replayed_in_words(found)),
        }
    }

    /// A JSON object as one line of standard output.
    pub(super) fn json(&self, value: &impl serde::Serialize) {
        // Our own types always encode.
        if let Ok(text) = serde_json::to_string(value) {
            self.line(&text);
        }
    }

    /// A line about what is going on, on standard error.
    pub(super) fn note(&self, text: &str) {
        if !self.quiet {
            self.complain(text);
        }
    }

    /// A line on standard error whatever the flags.
    pub(super) fn complain(&self, text: &str) {
        self.aside(|| drop(writeln!(io::stderr().lock(), "{text}")));
    }

    /// Why a command ends here; returns its exit code.
    pub(super) fn refuse(&self, refusal: &Refusal) -> Exit {
        match refusal {
            Refusal::Diagnostics(all) if self.format == Format::Json => {
                for diagnostic in all {
                    self.json(&Line::Diagnostic(diagnostic.record()));
                }
                Exit::User
            }
            Refusal::Diagnostics(all) => {
                let draw =
                    if self.color { diagnostic::render_in_color } else { diagnostic::render };
                self.complain(draw(all).trim_end());
                Exit::User
            }
            Refusal::Words(what, hint, exit) => {
                if self.format == Format::Json {
                    self.json(&Line::error(what, hint.as_deref(), *exit));
                }
                self.refuse_in_words(what, hint.as_deref());
                *exit
            }
        }
    }

    fn refuse_in_words(&self, what: &str, hint: Option<&str>) {
        self.complain(&format!("{} {what}", self.paint("error:", ERROR)));
        if let Some(hint) = hint {
            self.complain(&format!("{} {hint}", self.paint("help:", ADVICE)));
        }
    }

    fn paint(&self, text: &str, style: Style) -> String {
        if self.color { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    /// Shows an event as it happens.
    pub(super) fn show(&self, event: &Event) {
        if self.format == Format::Json {
            if !matches!(event, Event::Progress { .. }) && !self.mute {
                self.json(event);
            }
            return;
        }
        match event {
            Event::RunStarted(_) | Event::RunFinished(_) => {}
            Event::Waiting { what, holder } => {
                self.note(&format!("waiting for {what}, in use by {holder}"));
            }
            Event::StageStarted { stage, reason, expected_us, .. } => {
                self.started(stage, reason, *expected_us);
            }
            Event::Progress { stage, fraction, words } => self.progress(stage, *fraction, words),
            Event::Look { stage, look } => self.note(&verdict::look(stage, look)),
            Event::Retrying { stage, message } => {
                self.note(&format!("{stage}: {message}; trying once more"));
            }
            Event::InputChanged { stage, files } => self.complain(&format!(
                "{} {stage}: {} changed while it ran; its result is not kept, run again",
                self.paint("warning:", WARNING),
                files.join(", ")
            )),
            Event::StageFinished(finished) => self.finished(finished),
            Event::Notice { text } => {
                self.complain(&format!("{} {text}", self.paint("note:", ADVICE)));
            }
        }
    }

    fn started(&self, stage: &str, reason: &Reason, expected_us: u64) {
        let changes = if self.explain { Changes::Values } else { Changes::Names };
        let why = words::reason(reason, changes);
        if self.explain && !self.quiet {
            self.note(&format!("{stage}: {why}"));
        }
        let Some(bars) = &self.bars else { return };
        let bar = bars.add(ProgressBar::new(1000));
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {bar:24} {msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(stage.to_owned());
        bar.set_message(match expected_us {
            0 => why,
            us => format!("{why}, about {}", words::duration_us(us as f64)),
        });
        bar.enable_steady_tick(std::time::Duration::from_millis(100));
        if let Ok(mut running) = self.running.lock() {
            running.insert(stage.to_owned(), bar);
        }
    }

    fn progress(&self, stage: &str, fraction: f32, words: &str) {
        let Ok(running) = self.running.lock() else { return };
        if let Some(bar) = running.get(stage) {
            bar.set_position((fraction * 1000.0) as u64);
            bar.set_message(words.to_owned());
        }
    }

    fn end_bar(&self, stage: &str) {
        let Ok(mut running) = self.running.lock() else { return };
        if let Some(bar) = running.remove(stage) {
            bar.finish_and_clear();
        }
    }

    fn finished(&self, finished: &StageFinished) {
        self.end_bar(&finished.stage);
        let failed = matches!(finished.outcome, Outcome::Failed { .. });
        let ran = matches!(finished.outcome, Outcome::Ran);
        let show_log = match self.logs {
            _ if failed => true,
            _ if self.quiet => false,
            Logs::All => true,
            Logs::New => ran,
            Logs::None => false,
        };
        if !self.quiet || failed {
            self.outcome_line(finished);
        }
        if show_log && !finished.log.trim().is_empty() && !said_already(finished) {
            self.complain(finished.log.trim_end());
        }
    }

    fn outcome_line(&self, finished: &StageFinished) {
        let took = words::duration_us(finished.duration_us as f64);
        let stage = &finished.stage;
        let line = match &finished.outcome {
            Outcome::Ran => format!("{} {stage} ({took})", self.paint("ran     ", RAN)),
            Outcome::Cached if finished.log.trim().is_empty() => return,
            Outcome::Cached => format!(
                "{} {stage}, recorded {}:",
                self.paint("known   ", KNOWN),
                words::age(finished.finished_ms)
            ),
            Outcome::Restored { files } => {
                format!("{} {stage}: {}", self.paint("restored", KNOWN), words::list(files))
            }
            // The reason stands below the table, where there is one.
            Outcome::Failed { .. } if !self.mute && finished.decision.is_some() => {
                let decided = finished.decision.as_ref();
                let word = decided.map_or("", |decided| decided.decision.word());
                format!("{} {stage} ({took})", self.paint(&format!("{word:<8}"), HELD_BACK))
            }
            Outcome::Failed { failure } => format!(
                "{} {stage} {}: {}",
                self.paint("FAILED  ", ERROR),
                words::class(failure.class),
                failure.message
            ),
            Outcome::Skipped { because } => {
                format!("{} {stage}: {because}", self.paint("skipped ", HELD_BACK))
            }
            Outcome::Blocked { by } => {
                format!("{} {stage}: needs {by}", self.paint("blocked ", HELD_BACK))
            }
        };
        self.complain(&line);
    }

    /// The answer of a run: the result table, what failed, and the counts.
    pub(super) fn answer(&self, report: &RunReport, state_dir: &Path) {
        if self.format == Format::Json || self.mute {
            return;
        }
        let notable: Vec<&StageFinished> = report.notable().collect();
        if !self.quiet || !notable.is_empty() {
            self.text(&table::results(&notable, state_dir));
        }
        let (boards, complaints) = board::tables(&notable, state_dir);
        self.text(&boards);
        for complaint in &complaints {
            self.complain(&format!("{} {complaint}", self.paint("warning:", WARNING)));
        }
        if !self.quiet {
            self.line(&words::summary(&report.summary));
        }
        let failed = notable.iter().filter(|f| matches!(f.outcome, Outcome::Failed { .. }));
        let names: Vec<String> = failed.map(|f| f.stage.clone()).collect();
        if !names.is_empty() {
            self.complain(&format!("failed: {}", words::list(&names)));
        }
    }

    fn recovered(&self, recovered: &Recovered) {
        let Recovered { event, place, end, warnings } = recovered;
        let (what, place) = (event.word(), format!("{} by {}", place.problem, place.metric));
        self.complain(&match end {
            End::Forward => format!("note: a {what} of {place} was cut off; it is done now"),
            End::Back => format!(
                "note: a {what} of {place} was cut off before its commit; nothing of it is left, \
                 do it again"
            ),
        });
        for warning in warnings {
            self.complain(&format!("warning: {warning}"));
        }
    }
}

impl Observer for Ui {
    fn event(&self, event: &Event) {
        self.show(event);
    }

    fn notice(&self, notice: &Notice) {
        match notice {
            Notice::Waiting { holder } => self.note(&format!("waiting for {holder}")),
            Notice::Recovered(recovered) => self.recovered(recovered),
            Notice::NoJobserver(why) => self.complain(why),
        }
    }
}

/// A compiler's words are the failure's message already.
fn said_already(finished: &StageFinished) -> bool {
    matches!(&finished.outcome, Outcome::Failed { failure }
        if failure.message.contains(finished.log.trim()))
}
