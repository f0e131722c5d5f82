//! `optloop best`: what the best is, making another one the best, and beginning anew.

mod set;
mod show;

use std::path::{Path, PathBuf};

use super::args::{BestArgs, BestCommand, Format, KeepArgs, WhichBest};
use super::exit::Exit;
use super::incumbents::Incumbents;
use super::lines::{self, BestChangedLine, OfBest};
use super::session::{self, Access, Refusal};
use super::ui::Ui;
use super::{cache, keep, world};
use crate::git;
use crate::pipeline::Overrides;
use crate::process;
use crate::project::promotion::{self, Changed, Said};
use crate::record::RecordError;
use crate::record::ledger::{self, Place, What};

/// Runs one of them.
pub(super) fn run(args: &BestArgs, mut ui: Ui) -> Exit {
    let done = match &args.command {
        None => show::show(None, &ui),
        Some(BestCommand::Show { problem }) => show::show(problem.as_deref(), &ui),
        Some(BestCommand::Ls) => show::list(&ui),
        Some(BestCommand::Set(args)) => return set::run(args, &mut ui),
        Some(BestCommand::Reset(which)) => reset(which, &ui),
        Some(BestCommand::Undo(which)) => undo(which, &ui),
    };
    match done {
        Ok(()) => Exit::Ok,
        Err(refusal) => ui.refuse(&refusal),
    }
}

fn now() -> String {
    jiff::Timestamp::now().to_string()
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` hands it over")]
fn broken(why: RecordError) -> Refusal {
    Refusal::Words(why.to_string(), None, Exit::Infrastructure)
}

fn said(summary: Option<&String>) -> Said {
    Said { summary: summary.cloned().unwrap_or_default(), ..Said::default() }
}

fn reset(which: &WhichBest, ui: &Ui) -> Result<(), Refusal> {
    let (state, place) = chosen(which)?;
    let _lock = begin(&state, ui)?;
    let said = said(which.summary.as_ref());
    let changed = promotion::reset(&state, &place, &said, now()).map_err(keep::refusal)?;
    tell(&changed, ui, || {
        let was = changed.line.candidate.short();
        vec![
            format!("RESET {}: the next run sets the baseline", place.words()),
            format!("  was        {was}, which stays in {}", lies(&state, &place)),
            "  take back  optloop best undo".to_owned(),
        ]
    });
    Ok(())
}

fn undo(which: &WhichBest, ui: &Ui) -> Result<(), Refusal> {
    let (state, place) = chosen(which)?;
    let _lock = begin(&state, ui)?;
    let changed = promotion::undo(&state, &place, None, now()).map_err(keep::refusal)?;
    tell(&changed, ui, || undone(&changed));
    Ok(())
}

/// `optloop keep --undo`.
pub(super) fn undo_keep(args: &KeepArgs, ui: &Ui) -> Result<(), Refusal> {
    let state = world::state_folder().ok_or_else(cache::no_state)?;
    let _lock = begin(&state, ui)?;
    let known = ledger::read(&state).map_err(broken)?;
    let live = |place: &Place| known.stands(place).last().map(|stand| stand.change);
    let keeps = known.lines.iter().rev().filter(|line| line.event == What::Keep);
    let mut keeps = keeps.filter(|line| live(&line.place).is_some_and(|l| l.seq == line.seq));
    let Some(last) = keeps.next() else {
        let what = "there is no keep to take back: nothing was kept, or something came after it";
        let hint =
            "`optloop best` says what the best is; `optloop best undo` takes other changes back";
        return Err(Refusal::Words(what.to_owned(), Some(hint.to_owned()), Exit::User));
    };
    let root = state.parent().unwrap_or(Path::new("/")).to_owned();
    let reverted = match &last.commit {
        Some(commit) if args.git_revert => Some(git_revert(&root, commit)?),
        _ => None,
    };
    let place = last.place.clone();
    let changed =
        promotion::undo(&state, &place, Some(What::Keep), now()).map_err(keep::refusal)?;
    tell(&changed, ui, || {
        let mut lines = undone(&changed);
        match (&changed.undone.as_ref().and_then(|line| line.commit.clone()), &reverted) {
            (_, Some(revert)) => lines.push(format!("  commit     {revert} reverts it")),
            (Some(commit), None) => lines.push(format!(
                "  commit     {commit} stays; to take it back too: git revert {}",
                &commit[..commit.len().min(12)]
            )),
            (None, None) => lines.push("  commit     none: your files stay as they are".to_owned()),
        }
        lines
    });
    Ok(())
}

fn git_revert(root: &Path, commit: &str) -> Result<String, Refusal> {
    let git = world::git(process::install().unwrap_or_default());
    git::revert_commit(root, commit, &git).map_err(|why| {
        let hint = "nothing has changed; leave --git-revert out, and revert it yourself";
        Refusal::Words(why.to_string(), Some(hint.to_owned()), Exit::User)
    })
}

fn undone(changed: &Changed) -> Vec<String> {
    let what = changed.undone.as_ref().map_or("change", |line| line.event.word());
    let now = match &changed.standing {
        Some(line) => format!("  best       {} again", line.candidate.short()),
        None => "  best       none: the next run sets the baseline".to_owned(),
    };
    vec![format!("UNDONE {}: the last {what}", changed.line.place.words()), now]
}

fn tell(changed: &Changed, ui: &Ui, words: impl FnOnce() -> Vec<String>) {
    if ui.format == Format::Json {
        ui.json(&changed_line(changed));
        return;
    }
    for line in words() {
        ui.line(&line);
    }
}

/// A reset or an undo as a line of JSON.
fn changed_line(changed: &Changed) -> lines::Line {
    let line = &changed.line;
    let best = changed.standing.as_ref().map(|line| line.candidate.hex());
    let undone = changed.undone.as_ref();
    let told = BestChangedLine {
        about: OfBest::at(&line.place, best),
        undone: undone.map(|line| line.event.word().to_owned()),
        commit: undone.and_then(|line| line.commit.clone()),
        line: line.seq,
    };
    match line.event {
        What::Reset => lines::Line::BestReset(told),
        _ => lines::Line::BestUndone(told),
    }
}

fn lies(state: &Path, place: &Place) -> String {
    world::shown(&place.folder(state)).display().to_string()
}

/// Takes the lock, and ends what was cut off.
fn begin(state: &Path, ui: &Ui) -> Result<crate::cache::lock::Lock, Refusal> {
    let lock = session::hold(state, Access::Wait, ui)?;
    let root = state.parent().unwrap_or(Path::new("/"));
    for line in promotion::recover(root, state, &world::git_to_read()).map_err(broken)? {
        ui.complain(&line);
    }
    Ok(lock)
}

/// The place that is meant: a pipeline's, or the only one that fits what was said.
fn chosen(which: &WhichBest) -> Result<(PathBuf, Place), Refusal> {
    if let Some(pipeline) = &which.pipeline {
        let located = session::located(pipeline)?;
        let overrides = Overrides { device: which.device.clone(), ..Overrides::default() };
        let incumbents = Incumbents { located: &located, overrides: &overrides };
        let stage = which.stage.clone().or_else(|| incumbents.scoring().into_iter().next());
        let place = incumbents.decided_by(stage.as_deref().unwrap_or("candidate"))?;
        return Ok((located.root.join(".optloop"), place));
    }
    let state = world::state_folder().ok_or_else(cache::no_state)?;
    let known = ledger::read(&state).map_err(broken)?;
    let is = |name: &Option<String>, own: &str| name.as_ref().is_none_or(|name| name == own);
    let mut places: Vec<Place> = known.lines.iter().map(|line| line.place.clone()).collect();
    places.retain(|p| is(&which.problem, &p.problem) && is(&which.metric, &p.metric));
    places.sort();
    places.dedup();
    let one = places.pop().filter(|_| places.is_empty());
    one.map(|place| (state, place)).ok_or_else(|| {
        let what = "it is not clear which best is meant: there is none, or there are several";
        let hint = "`optloop best ls` lists them; name a pipeline: --pipeline FILE";
        Refusal::Words(what.to_owned(), Some(hint.to_owned()), Exit::User)
    })
}
