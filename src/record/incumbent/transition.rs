//! One incumbent taking another's place, as a list of steps of which each can be done twice.
//!
//! A kill may stop a transition before or after any step; [`super::recover`] then does this:
//!
//! | stopped after | on disk | recovery |
//! |---|---|---|
//! | nothing, `Folder`, `Preserve`, `Stage` | no intent | none needed: files that nothing names yet |
//! | `Intend` | intent; the commit made or not | a keep that wanted a commit asks git, and without one goes back; all else goes forward |
//! | `About`, `Restore(i)` | some files written | the rest is written, then the line |
//! | `Record` | the ledger's line | no more questions: forward |
//! | `Point(..)` | one name or both | forward |
//! | `Clear` | no intent | none needed: the transition is over |

use std::fs;
use std::path::Path;

use super::intent::{self, Change, Commit, Install, Intent};
use super::json::json_line;
use super::names::{self, Name, Naming};
use super::{INCUMBENT_VERSION, Incumbent, files, folder};
use crate::digest::Digest;
use crate::record::durable;
use crate::record::error::RecordError;
use crate::record::ledger::{self, Line, What};

/// How a transition ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// The ledger's line.
    pub line: Line,
    /// What people should know: a torn ledger, a file of theirs that was left alone.
    pub warnings: Vec<String>,
}

/// One step; doing it twice is doing it once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The new incumbent's folder is written.
    Folder,
    /// The candidate's files are kept.
    Preserve,
    /// The files to put back are written where a rename can take them from.
    Stage,
    /// The intent is written.
    Intend,
    /// The commit is written into the incumbent's `about.json`.
    About,
    /// One file is put back.
    Restore(usize),
    /// The ledger's line is appended.
    Record,
    /// A name is set or removed.
    Point(usize),
    /// The intent is removed.
    Clear,
}

/// A transition at work.
pub(super) struct Transition<'a> {
    pub(super) state: &'a Path,
    pub(super) intent: Intent,
    /// Known while it begins.
    install: Option<&'a Install>,
    pub(super) warnings: Vec<String>,
}

/// Begins a transition: everything that takes space is written, then the intent. When this returns,
/// [`finish`] or [`super::recover`] can end it, whatever happens in between.
///
/// The caller holds the state's lock and has called [`super::recover`].
///
/// # Errors
/// What could not be read or written; nothing has happened then.
pub fn begin(state: &Path, change: &Change) -> Result<Intent, RecordError> {
    let mut transition = Transition::plan(state, change)?;
    for step in transition.opening() {
        if let Err(why) = transition.perform(step) {
            // The intent may stand although its name could not be synced, and the rest may be
            // what fills the disk. Where this fails too, recovery decides.
            drop(take_back(state, &transition.intent));
            return Err(why);
        }
    }
    Ok(transition.intent)
}

/// Ends a transition: user's files, ledger, names. `commit` is the commit that the caller made.
///
/// # Errors
/// What could not be written; the intent is still there then, and [`super::recover`] goes on.
pub fn finish(
    state: &Path,
    mut intent: Intent,
    commit: Option<String>,
) -> Result<Finished, RecordError> {
    intent.line.commit = commit.or(intent.line.commit);
    let mut transition = Transition { state, intent, install: None, warnings: Vec::new() };
    for step in transition.closing() {
        let event = transition.intent.line.event;
        transition
            .perform(step)
            .map_err(|source| RecordError::CutOff { event, source: Box::new(source) })?;
    }
    Ok(Finished { line: transition.intent.line, warnings: transition.warnings })
}

impl<'a> Transition<'a> {
    /// Looks at everything and writes nothing.
    pub(super) fn plan(state: &'a Path, change: &'a Change) -> Result<Self, RecordError> {
        if let Some(other) = intent::pending(state)? {
            let Line { event, at, .. } = other.line;
            return Err(RecordError::Unfinished { event, at });
        }
        let known = ledger::read(state)?;
        let (given, install) = match change {
            Change::Install(install) => (&install.line, Some(&**install)),
            Change::Revert(line) | Change::Rename(line) => (&**line, None),
        };
        let fits = match given.event {
            What::Baseline | What::Keep | What::Set => install.is_some(),
            What::Revert | What::Undecided => matches!(change, Change::Revert(_)),
            What::Reset | What::Undo => matches!(change, Change::Rename(_)),
            What::Anchor => false,
        };
        if !fits {
            return Err(RecordError::NoSuchChange(given.event));
        }
        let id = id(known.lines.len(), given);
        let line = Line { seq: 0, intent: Some(id.clone()), ..given.clone() };
        let mut intent = Intent {
            version: INCUMBENT_VERSION,
            id,
            line,
            commit: install.map_or(Commit::Unwanted, |install| install.commit),
            commits: install.map_or_else(Vec::new, |install| install.commits.clone()),
            folder: String::new(),
            files: Vec::new(),
            kept: String::new(),
            names: Vec::new(),
        };
        if let Some(standing) = known.standing(&given.place) {
            intent.line.incumbent.get_or_insert(standing.candidate);
        } else if given.event == What::Keep {
            return Err(RecordError::NoIncumbent(Box::new(given.place.clone())));
        }
        match (change, install) {
            (Change::Rename(_), _) => intent.names = renamed(state, &known, given)?,
            (_, None) => files::plan_revert(state, &mut intent)?,
            (_, Some(install)) => {
                folder::plan(state, &mut intent, install);
                intent.names = names::of_new(&known, given, &intent.folder);
            }
        }
        Ok(Self { state, intent, install, warnings: Vec::new() })
    }

    /// The steps of [`begin`].
    pub(super) fn opening(&self) -> Vec<Step> {
        match self.intent.line.event {
            What::Revert | What::Undecided => vec![Step::Preserve, Step::Stage, Step::Intend],
            What::Reset | What::Undo => vec![Step::Intend],
            _ => vec![Step::Folder, Step::Intend],
        }
    }

    /// The steps of [`finish`].
    pub(super) fn closing(&self) -> Vec<Step> {
        let first = if self.intent.installs() { vec![Step::About] } else { Vec::new() };
        let files = (0..self.intent.files.len()).map(Step::Restore);
        let names = (0..self.names().len()).map(Step::Point);
        let steps = first.into_iter().chain(files).chain([Step::Record]);
        steps.chain(names).chain([Step::Clear]).collect()
    }

    /// What the names stand for then; an intent of an older version does not say.
    fn names(&self) -> Vec<Naming> {
        let Intent { line, folder, names, .. } = &self.intent;
        if !names.is_empty() || !self.intent.installs() {
            return names.clone();
        }
        names::of_new(&ledger::Ledger::default(), line, folder)
            .into_iter()
            .filter(|naming| line.event == What::Baseline || naming.name == Name::Current)
            .collect()
    }

    pub(super) fn perform(&mut self, step: Step) -> Result<(), RecordError> {
        match step {
            Step::Folder => match self.install {
                Some(install) => folder::write(self.state, &self.intent, install),
                None => Ok(()),
            },
            Step::Preserve => files::preserve(self.state, &self.intent),
            Step::Stage => files::stage_all(self.state, &self.intent),
            Step::Intend => {
                let bytes = json_line(&self.intent)?;
                durable::replace(self.state, &intent::path_of(self.state), &bytes)
            }
            Step::About => self.note_commit(),
            Step::Restore(at) => {
                let warning = files::restore(self.state, &self.intent, at)?;
                self.warnings.extend(warning);
                Ok(())
            }
            Step::Record => self.record(),
            Step::Point(name) => self.point(name),
            Step::Clear => {
                files::clear_stage(self.state)?;
                durable::remove(&intent::path_of(self.state))
            }
        }
    }

    fn note_commit(&self) -> Result<(), RecordError> {
        let Some(commit) = &self.intent.line.commit else {
            return Ok(());
        };
        let folder = folder::of(self.state, &self.intent);
        let incumbent = Incumbent::read(&folder)?;
        let about = Incumbent { commit: Some(commit.clone()), ..incumbent };
        durable::replace(self.state, &folder.join("about.json"), &json_line(&about)?)
    }

    fn record(&mut self) -> Result<(), RecordError> {
        let known = ledger::read(self.state)?;
        if let Some(line) = known.of_intent(&self.intent.id) {
            self.intent.line = line.clone();
            return Ok(());
        }
        let appended = ledger::append(self.state, &self.intent.line)?;
        self.intent.line = appended.entry;
        self.warnings.extend(appended.warning);
        Ok(())
    }

    fn point(&self, at: usize) -> Result<(), RecordError> {
        match self.names().get(at) {
            Some(naming) => names::write(self.state, &self.intent.line.place, naming),
            None => Ok(()),
        }
    }
}

/// Removes all that the beginning of a transition wrote, but for the candidate's kept files.
pub(super) fn take_back(state: &Path, intent: &Intent) -> Result<(), RecordError> {
    files::clear_stage(state)?;
    durable::remove(&intent::path_of(state))?;
    if !intent.installs() {
        return Ok(());
    }
    // Moved first: a folder of that name is a whole one. What is left of it only takes space.
    let new = folder::of(state, intent);
    if let Ok(old) = durable::temporary(state, "incumbent.old")
        && fs::rename(&new, &old).is_ok()
    {
        drop(fs::remove_dir_all(old));
    }
    Ok(())
}

/// The names after a change that brings no kernel.
fn renamed(state: &Path, known: &ledger::Ledger, line: &Line) -> Result<Vec<Naming>, RecordError> {
    let stands = known.stands(&line.place);
    let before = match line.event {
        What::Undo => stands.len().checked_sub(2).and_then(|at| stands.get(at)),
        _ => None,
    };
    let (current, baseline) = before.map_or((None, None), |stand| (stand.current, stand.baseline));
    names::of_lines(state, current, baseline)
}

/// No clock and no chance: a transition that went back may have the same id as the next, and no
/// two that the ledger knows have.
fn id(lines: usize, line: &Line) -> String {
    let text = format!("{lines}\0{}\0{}\0{}", line.at, line.event.word(), line.candidate);
    Digest::of(text.as_bytes()).hex()[..16].to_owned()
}
