//! A candidate becomes the incumbent: as the first of its place, or because it is better.

use std::path::PathBuf;

use super::line::{line, say};
use super::message::{self, Gain, Reference};
use super::present::{self, Candidate, Proof};
use super::recovery::{INTENT, files};
use super::{DecisionContext, EVERY, Measured, PromotionError, Rationale, Says, held};
use crate::digest::Digest;
use crate::git::{self, Committed, Message, Outside};
use crate::record::incumbent::{self, Change, Commit, Incumbent, Install, Intent};
use crate::record::ledger::{self, Line, What};
use crate::record::{Decision, Status};
use crate::stats::block::Scale;

/// A candidate that is the incumbent now.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// The ledger's line.
    pub line: Line,
    /// Where the incumbent lies.
    pub folder: PathBuf,
    /// The files in which the commit differs from the one before, below the root.
    pub committed: Vec<String>,
    /// Why there is no new commit, or what is odd about it; and other things to know.
    pub warnings: Vec<String>,
    /// Whether it is time to hold the best against the baseline.
    pub anchor_is_due: bool,
}

/// Makes a candidate the first of its place; `None` when there is one already.
///
/// # Errors
/// Why not; nothing has changed then.
pub fn baseline(
    context: &DecisionContext<'_>,
    measured: &Measured,
) -> Result<Option<Line>, PromotionError> {
    let there = incumbent::current(context.folder(), &context.place)?;
    if there.is_some() || measured.says != Says::Alone || measured.artifact.status != Status::Passed
    {
        return Ok(None);
    }
    let candidate = present::candidate(context, measured, Proof::Content)?;
    let line = line(What::Baseline, context, measured, candidate.digest);
    let install = installed(line, candidate, measured, None);
    let intent = incumbent::begin(context.folder(), &install)?;
    let finished = incumbent::finish(context.folder(), intent, None)?;
    Ok(Some(finished.line))
}

/// Makes a candidate the incumbent, if the artifact proves that it is better; with `git`, its files
/// are committed.
///
/// # Errors
/// Why not; nothing has changed then.
pub fn keep(
    context: &DecisionContext<'_>,
    measured: &Measured,
    why: &Rationale,
    git: Option<&Outside>,
) -> Result<Kept, PromotionError> {
    proven(measured)?;
    let current = incumbent::current(context.folder(), &context.place)?;
    let current = current
        .ok_or_else(|| PromotionError::NoIncumbent { problem: context.place.problem.clone() })?;
    same_incumbent(measured, &current)?;
    let candidate = present::candidate(context, measured, Proof::Passed)?;
    held::is_said(context, &candidate)?;
    let wanted = git.map(|git| held::files(context, &candidate, &current, git)).transpose()?;
    let elsewhere = Elsewhere::of(&candidate, &current);
    let mut line = line(What::Keep, context, measured, candidate.digest);
    say(&mut line, why);
    let install = installed(line, candidate, measured, wanted);
    let intent = incumbent::begin(context.folder(), &install)?;
    let mut warnings = Vec::new();
    let commit = match git {
        None => Held::Nowhere,
        Some(outside) => {
            let message = message(context, measured, &intent, &current);
            match commit(context, &intent, &message, outside) {
                Ok((commit, said)) => {
                    warnings.extend(said);
                    commit
                }
                Err(why) => return Err(abandoned(context, &intent, &why)),
            }
        }
    };
    let (commit, committed, more) = elsewhere.told(commit);
    warnings.extend(more);
    let folder = context.place.folder(context.folder()).join(&intent.folder);
    let finished = incumbent::finish(context.folder(), intent, commit)?;
    warnings.extend(finished.warnings);
    let known = ledger::read(context.folder())?;
    let keeps = ledger::keeps_since_anchor(&known, &context.place);
    let anchor_is_due = keeps > 0 && keeps.is_multiple_of(EVERY);
    Ok(Kept { line: finished.line, folder, committed, warnings, anchor_is_due })
}

/// Whether an artifact is about what the kernel files hold now, and about the present incumbent.
pub fn suits(context: &DecisionContext<'_>, measured: &Measured) -> bool {
    let current = incumbent::current(context.folder(), &context.place).ok().flatten();
    current.is_none_or(|current| same_incumbent(measured, &current).is_ok())
        && present::candidate(context, measured, Proof::Content).is_ok()
}

/// What came of asking for a commit.
enum Held {
    /// There is a new one.
    New {
        commit: String,
        /// The files in which it differs from the one before.
        files: Vec<String>,
    },
    /// The last one holds the files as they are.
    Already(String),
    /// There is none.
    Nowhere,
}

/// Where the difference to the incumbent lies, if not in the project.
struct Elsewhere {
    /// No file of the project, and no flag, differs from the incumbent's.
    same: bool,
    /// Files that do, and that the project does not hold.
    others: Vec<String>,
}

impl Elsewhere {
    fn of(candidate: &Candidate, current: &Incumbent) -> Self {
        let builds = candidate.build.as_ref().zip(current.build.as_ref());
        let others = builds.map(|(now, before)| held::others(now, before)).unwrap_or_default();
        Self { same: held::is_same(candidate, current), others }
    }

    /// The commit that holds the candidate, the files in which it differs from the one before, and
    /// what is to be said. One that was there before holds nothing of what makes the difference when
    /// that lies elsewhere.
    fn told(&self, held: Held) -> (Option<String>, Vec<String>, Vec<String>) {
        let mut warnings = Vec::new();
        if !self.others.is_empty() {
            warnings.push(format!(
                "{} changed since the best so far, and is not kept with the kernel",
                self.others.join(", ")
            ));
        }
        match held {
            Held::New { commit, files } => (Some(commit), files, warnings),
            Held::Already(head) if self.same => {
                warnings.push(format!(
                    "nothing is committed: no file of the project differs from the best so far, and \
                     the last commit, {head}, may build another binary elsewhere"
                ));
                (None, Vec::new(), warnings)
            }
            Held::Already(head) => {
                warnings.push(format!("the last commit holds these files already: {head}"));
                (Some(head), Vec::new(), warnings)
            }
            Held::Nowhere => (None, Vec::new(), warnings),
        }
    }
}

/// Whether the artifact proves a gain.
fn proven(measured: &Measured) -> Result<(), PromotionError> {
    match (&measured.says, measured.decision()) {
        (Says::Compared { .. }, Some(Decision::Keep)) => Ok(()),
        (_, Some(decision)) => {
            Err(PromotionError::Verdict { decision, why: measured.artifact.message.clone() })
        }
        (Says::Identical, _) => Err(PromotionError::Identical),
        (Says::Alone, _) => Err(PromotionError::MeasuredAlone),
        _ => Err(PromotionError::NothingDecided { status: measured.artifact.status }),
    }
}

/// Whether what it was compared with is still the incumbent.
pub(super) fn same_incumbent(
    measured: &Measured,
    current: &Incumbent,
) -> Result<(), PromotionError> {
    match measured.incumbent() {
        Some(then) if then != current.digest.hex() => Err(PromotionError::OtherIncumbent {
            artifact: measured.name.clone(),
            at: current.at.clone(),
        }),
        _ => Ok(()),
    }
}

/// The transition; with the files of a commit, it is tied to one.
pub(super) fn installed(
    line: Line,
    candidate: Candidate,
    measured: &Measured,
    commits: Option<Vec<String>>,
) -> Change {
    Change::Install(Box::new(Install {
        line,
        binary: candidate.binary,
        sources: candidate.sources,
        headers: candidate.headers,
        build: candidate.build,
        metrics: measured.artifact.metrics.clone(),
        key: measured.artifact.key.parse().unwrap_or_default(),
        commit: if commits.is_some() { Commit::Wanted } else { Commit::Unwanted },
        commits: commits.unwrap_or_default(),
    }))
}

/// What came of the commit, and what is to be said of it.
fn commit(
    context: &DecisionContext<'_>,
    intent: &Intent,
    message: &Message,
    outside: &Outside,
) -> Result<(Held, Vec<String>), String> {
    let root = context.root();
    let as_measured = || {
        intent.line.sources.iter().chain(&intent.line.headers).find(|source| {
            let now = Digest::of_file(&root.join(&source.path));
            !now.is_ok_and(|digest| digest == source.digest)
        })
    };
    if let Some(changed) = as_measured() {
        return Err(format!("{} is changing: try again", changed.path));
    }
    match git::commit_only(root, &files(root, intent), message, outside) {
        Ok(Committed::Done { commit, altered, behind, .. }) => {
            let mut warnings: Vec<String> = altered
                .iter()
                .map(|file| format!("a hook or filter changed {} on its way", file.display()))
                .collect();
            warnings.extend(as_measured().map(|changed| {
                format!("{} has changed meanwhile: look at what is in {commit}", changed.path)
            }));
            warnings.extend(behind.map(|why| {
                format!(
                    "the index still has the files as they were ({why}): `git reset -- FILE` brings \
                     each up to the commit"
                )
            }));
            let files = git::changed_in(root, &commit, outside);
            Ok((Held::New { commit, files }, warnings))
        }
        Ok(Committed::Nothing { head }) => Ok((Held::Already(head), Vec::new())),
        Err(git::Error::NoRepository { root }) => {
            let warning =
                format!("{} lies in no git repository: nothing is committed", root.display());
            Ok((Held::Nowhere, vec![warning]))
        }
        Err(error) => Err(error.to_string()),
    }
}

fn abandoned(context: &DecisionContext<'_>, intent: &Intent, why: &str) -> PromotionError {
    match incumbent::abandon(context.folder(), intent) {
        Ok(()) => PromotionError::CommitFailed { why: why.to_owned() },
        Err(more) => PromotionError::HalfKept { why: why.to_owned(), source: more },
    }
}

fn message(
    context: &DecisionContext<'_>,
    measured: &Measured,
    intent: &Intent,
    current: &Incumbent,
) -> Message {
    let line = &intent.line;
    let baseline = incumbent::baseline(context.folder(), &context.place).ok().flatten();
    let digests = (
        line.artifact_digest.hex(),
        baseline.as_ref().map(|b| b.artifact_digest.hex()).unwrap_or_default(),
        current.artifact_digest.hex(),
    );
    let mut message = message::message(&message::Kept {
        problem: &line.place.problem,
        metric: &line.place.metric,
        device: &line.place.device,
        gain: in_percent(measured, line, current),
        summary: &line.summary,
        feedback: &line.feedback,
        next_step: &line.next_step,
        artifact: Reference { path: &line.artifact, digest: &digests.0 },
        baseline: baseline.as_ref().map(|b| Reference { path: &b.artifact, digest: &digests.1 }),
        previous: Some(Reference { path: &current.artifact, digest: &digests.2 }),
    });
    message.trailers.push((INTENT.to_owned(), intent.id.clone()));
    message
}

/// The gain as a share of the incumbent's value. A metric that repeats has no interval.
fn in_percent(measured: &Measured, line: &Line, current: &Incumbent) -> Option<Gain> {
    let Says::Compared { comparison, .. } = &measured.says else {
        return None;
    };
    let unit = match comparison.scoring.metric.scale {
        Scale::Log => 1.0,
        Scale::Difference => current.metrics.get(&line.place.metric)?.abs(),
    };
    let gain = line.gain?;
    let percent = |value: f64| 100.0 * value / unit;
    (unit > 0.0).then(|| Gain {
        percent: percent(gain),
        lower: percent(line.lower.unwrap_or(gain)),
        upper: percent(line.upper.unwrap_or(gain)),
    })
}
