//! A candidate goes: the incumbent's files are put back.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::line::{line, say};
use super::present::{self, Candidate, Proof};
use super::{
    DecisionContext, Measured, PromotionError, Rationale, Says, held, keep, not_in_history,
};
use crate::digest::Digest;
use crate::git::Outside;
use crate::plan::InputRole;
use crate::record::Decision;
use crate::record::incumbent::{self, Change, Content, Incumbent};
use crate::record::ledger::{Line, Source, What};

/// A candidate that went.
#[derive(Debug, Clone, PartialEq)]
pub struct Reverted {
    /// The ledger's line.
    pub line: Line,
    /// Files that were put back, below the root; none when they were the incumbent's already.
    pub restored: Vec<String>,
    /// Where the candidate's files are kept.
    pub kept: Option<PathBuf>,
    /// What people should know.
    pub warnings: Vec<String>,
}

impl Reverted {
    /// What was decided of the candidate.
    pub fn decision(&self) -> Decision {
        match self.line.event {
            What::Undecided => Decision::Undecided,
            _ => Decision::Revert,
        }
    }
}

/// Puts the incumbent's files back.
///
/// # Errors
/// Why not; nothing has changed then.
pub fn revert(
    context: &DecisionContext<'_>,
    measured: &Measured,
    why: &Rationale,
    git: &Outside,
) -> Result<Reverted, PromotionError> {
    let incumbent = incumbent::current(context.folder(), &context.place)?;
    let incumbent = incumbent.ok_or_else(|| PromotionError::NothingToRestore {
        problem: context.place.problem.clone(),
    })?;
    keep::same_incumbent(measured, &incumbent)?;
    let event = match measured.decision() {
        Some(Decision::Undecided) => What::Undecided,
        _ => What::Revert,
    };
    let candidate = if is_back(context, &incumbent) {
        None
    } else {
        let candidate = present::candidate(context, measured, Proof::Content)?;
        only_what_was_measured(context, &candidate, &incumbent)?;
        if let Some(why) = not_in_history(context.root(), &incumbent, git) {
            let pipeline = measured.artifact.provenance.pipeline.clone();
            return Err(PromotionError::NotInHistory { why, pipeline });
        }
        Some(candidate)
    };
    let digest = match &candidate {
        Some(candidate) => candidate.digest,
        None => recorded(measured).unwrap_or(incumbent.digest),
    };
    let mut line = line(event, context, measured, digest);
    if let Some(candidate) = &candidate {
        line.sources = candidate.sources.iter().map(Content::source).collect();
        line.headers = candidate.headers.iter().map(Content::source).collect();
    }
    say(&mut line, why);
    let change = Change::Revert(Box::new(line));
    let intent = incumbent::begin(context.folder(), &change)?;
    let differs = |file: &&incumbent::Restore| file.before != Some(file.after);
    let restored: Vec<String> =
        intent.files.iter().filter(differs).map(|file| file.path.clone()).collect();
    let kept = (!restored.is_empty()).then(|| context.folder().join(&intent.kept));
    let finished = incumbent::finish(context.folder(), intent, None)?;
    let mut warnings = finished.warnings;
    warnings.extend(another_binary(context, measured, &incumbent, candidate.as_ref()));
    Ok(Reverted { line: finished.line, restored, kept, warnings })
}

/// Whether every file of the incumbent's holds what it held then.
fn is_back(context: &DecisionContext<'_>, incumbent: &Incumbent) -> bool {
    incumbent.files().all(|(source, _)| holds(context, source))
}

fn holds(context: &DecisionContext<'_>, source: &Source) -> bool {
    let now = Digest::of_file(&context.root().join(&source.path));
    now.is_ok_and(|digest| digest == source.digest)
}

/// Refuses to write over files that are not those of the candidate: nobody measured them.
fn only_what_was_measured(
    context: &DecisionContext<'_>,
    candidate: &Candidate,
    incumbent: &Incumbent,
) -> Result<(), PromotionError> {
    let paths =
        |files: &mut dyn Iterator<Item = &String>| -> BTreeSet<String> { files.cloned().collect() };
    let theirs = paths(&mut incumbent.sources.iter().map(|source| &source.path));
    let measured = paths(&mut candidate.sources.iter().map(|source| &source.path));
    let kept = || super::message::one_line(&incumbent.folder().display().to_string());
    if theirs != measured {
        let names = |paths: BTreeSet<String>| paths.into_iter().collect::<Vec<_>>().join(", ");
        let (measured, best) = (names(measured), names(theirs));
        return Err(PromotionError::OtherFiles { measured, best, folder: kept() });
    }
    let unread = |header: &&Source| {
        let path = context.root().join(&header.path);
        let read = candidate.headers.iter().any(|own| own.path == header.path);
        !read && path.exists() && !holds(context, header)
    };
    match incumbent.headers.iter().find(unread) {
        None => Ok(()),
        Some(header) => {
            Err(PromotionError::OtherHeader { path: header.path.clone(), folder: kept() })
        }
    }
}

/// Why the files that are back are not the whole of the incumbent, if they are not: it was built in
/// another way than the pipeline's files say now, or they came out as another binary just now.
fn another_binary(
    context: &DecisionContext<'_>,
    measured: &Measured,
    incumbent: &Incumbent,
    candidate: Option<&Candidate>,
) -> Option<String> {
    let build = incumbent.build.as_ref()?;
    if let Some(recipe) = &context.recipe {
        let unsaid = recipe.unsaid(&build.compile);
        if !unsaid.is_empty() {
            return Some(format!(
                "the best so far was built with {}, which {} does not say now: these files build \
                 another binary until it does",
                unsaid.join(", "),
                recipe.name()
            ));
        }
    }
    let built =
        recorded(measured).filter(|built| candidate.is_none() && *built != incumbent.digest)?;
    let others = present::build(context, measured).map(|now| held::others(&now, build));
    let why = match others.filter(|others| !others.is_empty()) {
        Some(others) => format!("{} changed", others.join(", ")),
        None => "what else it is built from changed".to_owned(),
    };
    Some(format!(
        "the best so far's files build another binary now, {} and not {}: {why}; `optloop best reset` \
         begins anew with it",
        built.short(),
        incumbent.digest.short()
    ))
}

/// The candidate that the artifact is about, by what was recorded.
fn recorded(measured: &Measured) -> Option<Digest> {
    if measured.says == Says::Identical {
        return None;
    }
    let kernel = measured.artifact.provenance.kernel.first()?;
    let field = measured.field(InputRole::Kernel.field());
    let field = field.or_else(|| measured.field(&format!("input:{kernel}")))?;
    field.parse().ok()
}
