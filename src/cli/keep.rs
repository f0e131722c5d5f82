//! `optloop keep`: a candidate becomes the incumbent; or, with `--undo`, is none any more.

use super::args::{Format, KeepArgs};
use super::decided::{decidable, open, rationale, verdict, warn};
use super::exit::Exit;
use super::lines::{self, DecisionLine, KeptLine};
use super::refusal::Refusal;
use super::ui::Ui;
use super::{anchor, changed, results, words};
use crate::pipeline::Overrides;
use crate::project::host::{self, Disk};
use crate::project::promotion::{Changed, EVERY, Kept};
use crate::project::{BestStore, Candidate, Comparison, Opened, Sides, shown, state_folder};
use crate::record::Decision;
use crate::record::ledger::Line;

/// Keeps a candidate; when it is time, the best is held against the baseline.
pub(super) fn run(args: &KeepArgs, ui: &Ui) -> Exit {
    let done = if args.undo { undo(args, ui).map(|()| Exit::Ok) } else { keep(args, ui) };
    done.unwrap_or_else(|refusal| ui.refuse(&refusal))
}

fn keep(args: &KeepArgs, ui: &Ui) -> Result<Exit, Refusal> {
    let decidable = decidable(&args.artifact, ui)?;
    let opened = open(&decidable, ui)?;
    let candidate = opened.candidate(&decidable.artifacts)?;
    let git = host::git(results::interrupts());
    let kept = candidate.keep(&rationale(&args.said()), (!args.no_commit).then_some(&git))?;
    warn(&kept.warnings, ui);
    if ui.format == Format::Json {
        ui.json(&kept_line(&kept));
    } else {
        ui.line(&verdict(&candidate, Decision::Keep, &kept.line));
        ui.line(&format!("  artifact   {}", shown(&candidate.artifact).display()));
        ui.line(&format!("  incumbent  {}", shown(&kept.folder).display()));
        ui.line(&format!("  commit     {}", commit_words(&kept)));
    }
    if !kept.anchor_is_due {
        return Ok(Exit::Ok);
    }
    ui.note(&format!("{EVERY} keeps since the last anchor: the best beside the baseline"));
    let (project, comparison) = (opened.project.clone(), anchor_of(&candidate, &opened));
    // The comparison opens the project with changes of its own.
    drop(opened);
    anchor::run(&project, &comparison, ui)
}

/// The best beside the baseline, as the candidate was measured.
fn anchor_of(candidate: &Candidate<'_>, opened: &Opened<'_>) -> Comparison {
    let Overrides { set, device, timeout_s, .. } = opened.overrides.clone();
    let stage = &candidate.measured.artifact.stage;
    Comparison {
        sides: Sides::Anchor,
        stage: stage.split('[').next().unwrap_or(stage).to_owned(),
        changes: Overrides { set, device, timeout_s, ..Overrides::default() },
    }
}

fn commit_words(kept: &Kept) -> String {
    let Some(commit) = &kept.line.commit else { return "none".to_owned() };
    let short = &commit[..commit.len().min(12)];
    if kept.committed.is_empty() {
        return format!("{short}, which holds {} already", words::list(&paths(&kept.line)));
    }
    format!("{short} of {}", words::list(&kept.committed))
}

fn paths(line: &Line) -> Vec<String> {
    line.sources.iter().map(|source| source.path.clone()).collect()
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

/// Takes the last keep back.
fn undo(args: &KeepArgs, ui: &Ui) -> Result<(), Refusal> {
    let store = BestStore::open(&state_folder(&Disk)?, &Disk, &[ui])?;
    let last = store.last_keep()?;
    let reverted = match &last.commit {
        Some(commit) if args.git_revert => {
            Some(store.revert_commit(commit, &host::git(results::interrupts()))?)
        }
        _ => None,
    };
    let undone = store.undo_keep(&last)?;
    changed::print(&undone, ui, || {
        let mut lines = changed::undone(&undone);
        lines.push(commit_of_undone(&undone, reverted.as_deref()));
        lines
    });
    Ok(())
}

fn commit_of_undone(undone: &Changed, reverted: Option<&str>) -> String {
    let commit = undone.undone.as_ref().and_then(|line| line.commit.as_deref());
    match (commit, reverted) {
        (_, Some(revert)) => format!("  commit     {revert} reverts it"),
        (Some(commit), None) => format!(
            "  commit     {commit} stays; to take it back too: git revert {}",
            &commit[..commit.len().min(12)]
        ),
        (None, None) => "  commit     none: your files stay as they are".to_owned(),
    }
}
