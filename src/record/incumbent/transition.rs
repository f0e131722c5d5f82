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

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files::{self, Restore};
use super::names::{self, Name, Naming};
use super::{Build, INCUMBENT_VERSION, Incumbent, folder, json_line, recovery};
use crate::digest::Digest;
use crate::record::durable;
use crate::record::ledger::{self, Line, Place, Source, What};
use crate::stats::Metrics;

/// A file's name and bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// For sources the path below the root, or an absolute one; for binaries the file's name.
    pub path: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

impl Content {
    /// The name, and a digest of the bytes.
    pub fn source(&self) -> Source {
        Source { path: self.path.clone(), digest: Digest::of(&self.bytes) }
    }
}

/// Whether a commit belongs to a transition, made by the caller between [`begin`] and [`finish`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Commit {
    /// Without it there is no transition.
    Wanted,
    /// There is none.
    Unwanted,
}

/// A kernel that becomes the incumbent.
#[derive(Debug, Clone, PartialEq)]
pub struct Install {
    /// The ledger's line: [`What::Baseline`], [`What::Keep`] or [`What::Set`]. Its sources are taken
    /// from below.
    pub line: Line,
    /// The built kernel, as `kernel.so`; none when only a command can build it.
    pub binary: Option<Content>,
    /// The kernel's files.
    pub sources: Vec<Content>,
    /// The project's other files that it was built from.
    pub headers: Vec<Content>,
    /// How it was built.
    pub build: Option<Build>,
    /// As measured; what is not finite is left out.
    pub metrics: Metrics,
    /// The key of that measurement.
    pub key: Digest,
    /// Whether a commit is made of it.
    pub commit: Commit,
    /// What that commit holds, below the root.
    pub commits: Vec<String>,
}

/// What is to happen to a place's incumbent.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A kernel becomes the incumbent.
    Install(Box<Install>),
    /// The incumbent's files are put back where the candidate's are. The ledger's line is a
    /// [`What::Revert`] or [`What::Undecided`] whose candidate is what goes.
    Revert(Box<Line>),
    /// Nothing is written but what stands for the best and the baseline: nothing after a
    /// [`What::Reset`], and what did before the last change after a [`What::Undo`].
    Rename(Box<Line>),
}

/// A transition that has begun: all that is needed to end it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// [`INCUMBENT_VERSION`].
    pub version: u32,
    /// Unlike that of any transition that the ledger knows.
    pub id: String,
    /// What the ledger will say; its number is not known yet.
    pub line: Line,
    /// Whether a commit belongs to it.
    pub commit: Commit,
    /// What that commit holds, below the root.
    #[serde(default)]
    pub commits: Vec<String>,
    /// The incumbent's folder, beside `current`: the one that comes, or whose files are put back.
    pub folder: String,
    /// Files to put back.
    pub files: Vec<Restore>,
    /// Where the candidate's files are kept that are written over, below the state folder.
    pub kept: String,
    /// What the place's names stand for then.
    #[serde(default)]
    pub(super) names: Vec<Naming>,
}

impl Intent {
    /// Whether it puts the incumbent's files back, rather than making another the incumbent.
    pub fn restores(&self) -> bool {
        matches!(self.line.event, What::Revert | What::Undecided)
    }

    /// Whether it brings a kernel with a folder of its own.
    pub fn installs(&self) -> bool {
        matches!(self.line.event, What::Baseline | What::Keep | What::Set)
    }
}

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

/// Begins a transition: everything that takes room is written, then the intent. When this returns,
/// [`finish`] or [`super::recover`] can end it, whatever happens in between.
///
/// The caller holds the state's lock and has called [`super::recover`].
///
/// # Errors
/// What could not be read or written; nothing has happened then.
pub fn begin(state: &Path, change: &Change) -> Result<Intent, String> {
    let mut transition = Transition::plan(state, change)?;
    for step in transition.opening() {
        if let Err(why) = transition.perform(step) {
            // The intent may stand although its name could not be synced, and the rest may be
            // what fills the disk. Where this fails too, recovery decides.
            drop(recovery::take_back(state, &transition.intent));
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
) -> Result<Finished, String> {
    intent.line.commit = commit.or(intent.line.commit);
    let mut transition = Transition { state, intent, install: None, warnings: Vec::new() };
    for step in transition.closing() {
        transition.perform(step).map_err(|why| {
            let what = transition.intent.line.event.word();
            format!("{why}; this {what} has begun, and the next optloop run here ends it")
        })?;
    }
    Ok(Finished { line: transition.intent.line, warnings: transition.warnings })
}

impl<'a> Transition<'a> {
    /// Looks at everything and writes nothing.
    pub(super) fn plan(state: &'a Path, change: &'a Change) -> Result<Self, String> {
        if let Some(other) = recovery::pending(state)? {
            let what = other.line.event.word();
            return Err(format!("a {what} begun at {} has not ended yet", other.line.at));
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
            return Err(format!("a {} does not change the incumbent so", given.event.word()));
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
            return Err(no_incumbent(&given.place));
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

    pub(super) fn perform(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Folder => match self.install {
                Some(install) => folder::write(self.state, &self.intent, install),
                None => Ok(()),
            },
            Step::Preserve => files::preserve(self.state, &self.intent),
            Step::Stage => files::stage_all(self.state, &self.intent),
            Step::Intend => {
                let bytes = json_line(&self.intent)?;
                durable::replace(self.state, &recovery::path_of(self.state), &bytes)
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
                durable::remove(&recovery::path_of(self.state))
            }
        }
    }

    fn note_commit(&self) -> Result<(), String> {
        let Some(commit) = &self.intent.line.commit else {
            return Ok(());
        };
        let folder = folder::of(self.state, &self.intent);
        let incumbent = Incumbent::read(&folder)?;
        let about = Incumbent { commit: Some(commit.clone()), ..incumbent };
        durable::replace(self.state, &folder.join("about.json"), &json_line(&about)?)
    }

    fn record(&mut self) -> Result<(), String> {
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

    fn point(&self, at: usize) -> Result<(), String> {
        match self.names().get(at) {
            Some(naming) => names::write(self.state, &self.intent.line.place, naming),
            None => Ok(()),
        }
    }
}

/// The names after a change that brings no kernel.
fn renamed(state: &Path, known: &ledger::Ledger, line: &Line) -> Result<Vec<Naming>, String> {
    let stands = known.stands(&line.place);
    let before = match line.event {
        What::Undo => stands.len().checked_sub(2).and_then(|at| stands.get(at)),
        _ => None,
    };
    let (current, baseline) = before.map_or((None, None), |stand| (stand.current, stand.baseline));
    names::of_lines(state, current, baseline)
}

/// Says that a place has no incumbent yet.
pub(super) fn no_incumbent(place: &Place) -> String {
    format!(
        "there is no incumbent of {} on this device yet: the first comparing run makes one",
        place.words()
    )
}

/// No clock and no chance: a transition that went back may have the same id as the next, and no
/// two that the ledger knows have.
fn id(lines: usize, line: &Line) -> String {
    let text = format!("{lines}\0{}\0{}\0{}", line.at, line.event.word(), line.candidate);
    Digest::of(text.as_bytes()).hex()[..16].to_owned()
}
