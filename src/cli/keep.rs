//! `optloop keep` and `optloop revert`.

use std::path::{Path, PathBuf};

use super::args::{CompareArgs, Format, KeepArgs, RevertArgs, SaidArgs, Tuning};
use super::exit::Exit;
use super::incumbents::Incumbents;
use super::lines::{self, DecisionLine, KeptLine, RevertedLine};
use super::session::{Access, Refusal, Session};
use super::ui::Ui;
use super::world::{self, Disk};
use super::{artifact, best, cache, compare, words};
use crate::engine::StageRecord;
use crate::host::Host;
use crate::process;
use crate::project::promotion::{self, Ground, Kept, Measured, Refused, Reverted, Said};
use crate::project::recipe;
use crate::record::analysis::{self, ANALYSIS_VERSION, Analysis};
use crate::record::ledger::{self, Line, What};
use crate::record::{Artifact, Decision};

/// Keeps a candidate; when it is time, the best is held against the baseline.
pub(super) fn keep(args: &KeepArgs, ui: Ui) -> Exit {
    if args.undo {
        return match best::undo_keep(args, &ui) {
            Ok(()) => Exit::Ok,
            Err(refusal) => ui.refuse(&refusal),
        };
    }
    match try_keep(args, &ui) {
        Ok(None) => Exit::Ok,
        Ok(Some(anchor)) => {
            let every = promotion::EVERY;
            ui.note(&format!("{every} keeps since the last anchor: the best beside the baseline"));
            compare::run(&anchor, ui)
        }
        Err(refusal) => ui.refuse(&refusal),
    }
}

/// Puts the incumbent's files back.
pub(super) fn revert(args: &RevertArgs, ui: &Ui) -> Exit {
    match try_revert(args, ui) {
        Ok(()) => Exit::Ok,
        Err(refusal) => ui.refuse(&refusal),
    }
}

fn try_keep(args: &KeepArgs, ui: &Ui) -> Result<Option<CompareArgs>, Refusal> {
    let desk = Desk::open(&args.artifact, ui)?;
    let git = world::git(process::install().unwrap_or_default());
    let outside = (!args.no_commit).then_some(&git);
    let said = said(&args.said());
    let kept = promotion::keep(&desk.ground(), &desk.measured, &said, outside);
    let kept = kept.map_err(refusal)?;
    desk.analyse(Decision::Keep, &said, ui)?;
    warn(&kept.warnings, ui);
    if ui.format == Format::Json {
        ui.json(&kept_line(&kept));
    } else {
        ui.line(&desk.verdict(Decision::Keep, &kept.line));
        ui.line(&format!("  artifact   {}", world::shown(&desk.file).display()));
        ui.line(&format!("  incumbent  {}", world::shown(&kept.folder).display()));
        ui.line(&format!("  commit     {}", commit_words(&kept)));
    }
    Ok(kept.anchor_is_due.then(|| desk.anchor()))
}

fn try_revert(args: &RevertArgs, ui: &Ui) -> Result<(), Refusal> {
    let desk = Desk::open(&args.decided.artifact, ui)?;
    let said = said(&args.decided.said);
    let reverted = promotion::revert(&desk.ground(), &desk.measured, &said, &world::git_to_read());
    let reverted = reverted.map_err(refusal)?;
    let decision = decision(&reverted);
    desk.analyse(decision, &said, ui)?;
    warn(&reverted.warnings, ui);
    if ui.format == Format::Json {
        ui.json(&reverted_line(&reverted));
        return Ok(());
    }
    ui.line(&desk.verdict(decision, &reverted.line));
    ui.line(&format!("  artifact   {}", world::shown(&desk.file).display()));
    match &reverted.kept {
        Some(kept) => {
            ui.line(&format!("  put back   {}", words::list(&reverted.restored)));
            ui.line(&format!("  candidate  is kept in {}", world::shown(kept).display()));
        }
        None => ui.line("  put back   nothing: the files are the incumbent's already"),
    }
    Ok(())
}

fn commit_words(kept: &Kept) -> String {
    let Some(commit) = &kept.line.commit else { return "none".to_owned() };
    let short = &commit[..commit.len().min(12)];
    if kept.committed.is_empty() {
        return format!("{short}, which holds {} already", words::list(&paths(&kept.line)));
    }
    format!("{short} of {}", words::list(&kept.committed))
}

fn warn(warnings: &[String], ui: &Ui) {
    for warning in warnings {
        ui.complain(&format!("warning: {warning}"));
    }
}

fn said(args: &SaidArgs) -> Said {
    Said {
        summary: args.summary.clone(),
        feedback: args.feedback.clone(),
        next_step: args.next_step.clone().unwrap_or_default(),
    }
}

/// Why a decision was refused, as the program says it.
pub(super) fn refusal(refused: Refused) -> Refusal {
    match refused {
        Refused::Unfit(what, to_do) => Refusal::Words(what, Some(to_do), Exit::User),
        Refused::Broken(error) => Refusal::Words(error.to_string(), None, Exit::Infrastructure),
        Refused::Unread(what) => Refusal::Words(what, None, Exit::Infrastructure),
        Refused::Verdict(decision, why) => {
            let exit = match decision {
                Decision::Undecided => Exit::Undecided,
                _ => Exit::Candidate,
            };
            let what = format!("the verdict is {}, so it is not kept: {why}", decision.word());
            Refusal::Words(what, Some("put the incumbent back with `optloop revert`".into()), exit)
        }
    }
}

/// An artifact on the table, with the state of the pipeline that made it, which is locked.
struct Desk {
    session: Session,
    measured: Measured,
    file: PathBuf,
    place: crate::record::Place,
    kernel: Vec<String>,
}

impl Desk {
    fn open(wanted: &str, ui: &Ui) -> Result<Self, Refusal> {
        let files = found(wanted, ui)?;
        let file = files.first().cloned().unwrap_or_default();
        let mut desk = Self::at(file, ui)?;
        let suits = |desk: &Self| promotion::suits(&desk.ground(), &desk.measured);
        if files.len() > 1 && !suits(&desk) {
            // What a run shows as known may be older than the last measurement.
            let (first, newest) = (desk.measured.clone(), desk.file.clone());
            let others = files[1..].iter().take(AT_MOST).filter(|file| desk.is_like(file));
            let others: Vec<PathBuf> = others.cloned().collect();
            let turned = others.into_iter().any(|file| desk.turn_to(&file) && suits(&desk));
            if !turned {
                (desk.measured, desk.file) = (first, newest);
            }
        }
        Ok(desk)
    }

    /// Whether another artifact is a comparison by the same pipeline with the same changes.
    fn is_like(&self, file: &Path) -> bool {
        let own = &self.measured.artifact;
        Artifact::read(file).is_ok_and(|other| {
            other.result.as_ref().is_some_and(|record| record.comparison().is_some())
                && other.stage == own.stage
                && other.provenance.pipeline == own.provenance.pipeline
                && other.provenance.kernel == own.provenance.kernel
                && other.provenance.overrides == own.provenance.overrides
        })
    }

    /// Takes another artifact up, if it is whole.
    fn turn_to(&mut self, file: &Path) -> bool {
        let Ok(measured) = Measured::read(&self.session.state.paths.state, file) else {
            return false;
        };
        (self.measured, self.file) = (measured, file.to_owned());
        true
    }

    fn at(file: PathBuf, ui: &Ui) -> Result<Self, Refusal> {
        let user = |what: String| Refusal::Words(what, None, Exit::User);
        let state = promotion::state_of(&file).ok_or_else(|| {
            let what = format!("{} lies in no .optloop/runs/", file.display());
            let hint = "decide where it was measured; `optloop artifact ls` lists what there is";
            Refusal::Words(what, Some(hint.to_owned()), Exit::User)
        })?;
        let artifact = Artifact::read(&file).map_err(|e| user(e.to_string()))?;
        let root = state.parent().unwrap_or(Path::new("/"));
        let pipeline = root.join(&artifact.provenance.pipeline);
        let located = super::session::located(&world::shown(&pipeline).to_string_lossy())?;
        let overrides = artifact.provenance.overrides.clone();
        let session = Session::open_with(located, overrides, Access::Wait, ui)?;
        // Read under the lock: whoever had it may have written to what this stands on.
        let measured = Measured::read(&state, &file).map_err(user)?;
        // Cores are all of one processor.
        let device = &measured.artifact.provenance.device;
        let device = if device.starts_with("cuda:") { device } else { "cpu" };
        let here = Disk.device(device).to_string();
        if measured.artifact.provenance.device_identity != here {
            let what = format!(
                "{} was measured on another machine, or another setting of this one",
                measured.name
            );
            let hint = "run the pipeline here, and decide on what it measures".to_owned();
            return Err(Refusal::Words(what, Some(hint), Exit::User));
        }
        let incumbents = Incumbents { located: &session.located, overrides: &session.overrides };
        let place = incumbents.decided_by(&measured.artifact.stage)?;
        let kernel = incumbents.kernel().unwrap_or_default();
        Ok(Self { session, measured, file, place, kernel })
    }

    fn ground(&self) -> Ground<'_> {
        let Session { located, overrides, .. } = &self.session;
        let stage = &self.measured.artifact.stage;
        Ground {
            state: &self.session.state,
            host: &Disk,
            stage,
            kernel: &self.kernel,
            place: self.place.clone(),
            copy: None,
            recipe: Some(recipe::of(located, overrides, stage)),
            at: jiff::Timestamp::now().to_string(),
        }
    }

    /// What was decided, beside the artifact too.
    fn analyse(&self, decision: Decision, said: &Said, ui: &Ui) -> Result<(), Refusal> {
        let analysis = Analysis {
            version: ANALYSIS_VERSION,
            at: jiff::Timestamp::now().to_string(),
            artifact: self.measured.digest,
            decision,
            summary: said.summary.clone(),
            feedback: said.feedback.clone(),
            next_step: said.next_step.clone(),
            by: String::new(),
        };
        let done = analysis::append(&self.file, &analysis);
        let done =
            done.map_err(|why| Refusal::Words(why.to_string(), None, Exit::Infrastructure))?;
        warn(&done.into_iter().collect::<Vec<_>>(), ui);
        Ok(())
    }

    /// The decision in a line: what was measured says the rest.
    fn verdict(&self, decision: Decision, line: &Line) -> String {
        let artifact = &self.measured.artifact;
        let told = artifact.result.as_ref().and_then(StageRecord::words);
        let why = match told {
            Some(words) => words.to_owned(),
            None if artifact.message.is_empty() => "it was measured alone".to_owned(),
            None => artifact.message.clone(),
        };
        format!("{} {}: {why}", decision.word(), line.place.words())
    }

    /// The command that holds the best against the baseline.
    fn anchor(&self) -> CompareArgs {
        let overrides = &self.session.overrides;
        let stage = &self.measured.artifact.stage;
        CompareArgs {
            a: None,
            b: None,
            pipeline: Some(self.session.located.file.display().to_string()),
            stage: stage.split('[').next().unwrap_or(stage).to_owned(),
            anchor: true,
            tuning: Tuning {
                set: overrides.set.clone().into_iter().collect(),
                device: overrides.device.clone(),
                timeout_seconds: overrides.timeout_s,
                ..Tuning::default()
            },
        }
    }
}

/// How many artifacts are looked through for one that is about what the kernel files hold.
const AT_MOST: usize = 100;

/// The artifact that is named; or the last that something can be decided on, then what is older.
fn found(wanted: &str, ui: &Ui) -> Result<Vec<PathBuf>, Refusal> {
    if wanted != "last" {
        return Ok(vec![artifact::find(wanted)?]);
    }
    let state = world::state_folder().ok_or_else(cache::no_state)?;
    let known =
        ledger::read(&state).map_err(|why| Refusal::Words(why.to_string(), None, Exit::User))?;
    let mut copies = Vec::new();
    let mut scores = |file: &PathBuf| {
        let line = known.lines.iter().find(|line| state.join(&line.artifact) == *file);
        // An anchor is about what was kept already.
        let anchor = line.is_some_and(|line| line.event == What::Anchor);
        let Some(artifact) = Artifact::read(file).ok().filter(|_| !anchor) else { return false };
        let copy = artifact.provenance.kernel.iter().any(|k| k.starts_with(".optloop/"));
        let scores = line.is_some() || Measured::scores(&artifact);
        if scores && copy {
            copies.push(artifact::short_name(file));
        }
        scores && !copy
    };
    let mut all = Artifact::list(&state);
    all.reverse();
    let newest = all.iter().position(&mut scores);
    match (newest, copies.first()) {
        (Some(newest), skipped) => {
            if let Some(skipped) = skipped {
                let own = artifact::short_name(&all[newest]);
                ui.note(&format!(
                    "note: the last comparison, {skipped}, was of a git revision or a kept kernel; \
                     this is about {own}"
                ));
            }
            Ok(all.split_off(newest))
        }
        (None, Some(copy)) => Err(Refusal::Words(
            format!("the last comparison, {copy}, was of a git revision or a kept kernel"),
            Some(
                "name the artifact of your own kernel: `optloop artifact ls` lists them".to_owned(),
            ),
            Exit::User,
        )),
        (None, None) => {
            let what = "there is no artifact of a stage that scores yet".to_owned();
            Err(Refusal::Words(what, Some("run the pipeline first".to_owned()), Exit::User))
        }
    }
}

fn paths(line: &Line) -> Vec<String> {
    line.sources.iter().map(|source| source.path.clone()).collect()
}

/// A gain with its interval, in percent or in the metric's own unit.
pub(super) fn gain_words(line: &Line, ratio: bool) -> String {
    let one = |gain: f64| if ratio { format!("{:.2} %", 100.0 * gain) } else { format!("{gain}") };
    let gain = line.gain.map_or_else(|| "unknown".to_owned(), one);
    match (line.lower, line.upper) {
        (Some(lower), Some(upper)) if lower < upper => {
            format!("{gain} (95 %: {} .. {})", one(lower), one(upper))
        }
        _ => gain,
    }
}

/// A keep as a line of JSON.
fn kept_line(kept: &Kept) -> lines::Line {
    lines::Line::Kept(KeptLine {
        decision: Decision::Keep,
        about: DecisionLine::of(&kept.line),
        reason: kept.line.reason.clone(),
        incumbent: kept.folder.to_string_lossy().into_owned(),
        files: paths(&kept.line),
        commit: kept.line.commit.clone(),
    })
}

/// A revert as a line of JSON.
fn reverted_line(reverted: &Reverted) -> lines::Line {
    lines::Line::Reverted(RevertedLine {
        decision: decision(reverted),
        about: DecisionLine::of(&reverted.line),
        reason: reverted.line.reason.clone(),
        restored: reverted.restored.clone(),
        kept: reverted.kept.as_ref().map(|kept| kept.to_string_lossy().into_owned()),
    })
}

/// What was decided of a candidate that went.
fn decision(reverted: &Reverted) -> Decision {
    match reverted.line.event {
        What::Undecided => Decision::Undecided,
        _ => Decision::Revert,
    }
}
