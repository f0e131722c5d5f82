//! `optloop best`: what the best is, making another one the best, and beginning anew.

mod set;
mod show;

use std::path::{Path, PathBuf};

use super::args::{BestArgs, BestCommand, WhichBest};
use super::changed;
use super::exit::Exit;
use super::refusal::Refusal;
use super::ui::Ui;
use crate::pipeline::Overrides;
use crate::project::host::Disk;
use crate::project::promotion::Rationale;
use crate::project::{BestStore, Project, ProjectError, shown, state_folder};
use crate::record::ledger::{self, Place};

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

fn reset(which: &WhichBest, ui: &Ui) -> Result<(), Refusal> {
    let Chosen { state, place } = Chosen::by(which)?;
    let store = BestStore::open(&state, &Disk, &[ui])?;
    let summary = which.summary.clone().unwrap_or_default();
    let reset = store.reset(&place, &Rationale { summary, ..Rationale::default() })?;
    changed::print(&reset, ui, || {
        let was = reset.line.candidate.short();
        vec![
            format!("RESET {}: the next run sets the baseline", place.words()),
            format!("  was        {was}, which stays in {}", lies(&state, &place)),
            "  take back  optloop best undo".to_owned(),
        ]
    });
    Ok(())
}

fn undo(which: &WhichBest, ui: &Ui) -> Result<(), Refusal> {
    let Chosen { state, place } = Chosen::by(which)?;
    let undone = BestStore::open(&state, &Disk, &[ui])?.undo(&place)?;
    changed::print(&undone, ui, || changed::undone(&undone));
    Ok(())
}

fn lies(state: &Path, place: &Place) -> String {
    shown(&place.folder(state)).display().to_string()
}

/// The best that is meant.
struct Chosen {
    state: PathBuf,
    place: Place,
}

impl Chosen {
    /// A pipeline's, or the only one that fits what was said.
    fn by(which: &WhichBest) -> Result<Self, Refusal> {
        if let Some(pipeline) = &which.pipeline {
            let project = Project::find(pipeline, &Disk)?;
            let overrides = Overrides { device: which.device.clone(), ..Overrides::default() };
            let place = project.place_of_best(which.stage.as_deref(), &overrides)?;
            return Ok(Self { state: project.state(), place });
        }
        let state = state_folder(&Disk)?;
        let known = ledger::read(&state).map_err(ProjectError::Record)?;
        let is = |name: &Option<String>, own: &str| name.as_ref().is_none_or(|name| name == own);
        let mut places: Vec<Place> = known.lines.iter().map(|line| line.place.clone()).collect();
        places.retain(|p| is(&which.problem, &p.problem) && is(&which.metric, &p.metric));
        places.sort();
        places.dedup();
        let one = places.pop().filter(|_| places.is_empty());
        one.map(|place| Self { state, place }).ok_or_else(|| {
            let what = "it is not clear which best is meant: there is none, or there are several";
            let hint = "`optloop best ls` lists them; name a pipeline: --pipeline FILE";
            Refusal::Words(what.to_owned(), Some(hint.to_owned()), Exit::User)
        })
    }
}
