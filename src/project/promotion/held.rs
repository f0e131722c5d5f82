//! What a commit must hold so that the kernel can be built from it, and what cannot be held.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::present::Candidate;
use super::{DecisionContext, PromotionError};
use crate::digest::Digest;
use crate::git::{self, Fit, Outside};
use crate::record::incumbent::{Build, Content, Incumbent};

/// Refuses a candidate that was built in a way that the pipeline's files do not say: nobody would
/// build it again.
pub(super) fn is_said(
    context: &DecisionContext<'_>,
    candidate: &Candidate,
) -> Result<(), PromotionError> {
    let (Some(recipe), Some(build)) = (&context.recipe, &candidate.build) else { return Ok(()) };
    let unsaid = recipe.unsaid(&build.compile);
    if unsaid.is_empty() {
        return Ok(());
    }
    Err(PromotionError::UnwrittenBuild { settings: unsaid, pipeline: recipe.name().to_owned() })
}

/// The files that a commit of the candidate holds, below the root.
///
/// # Errors
/// Those that differ from the incumbent's and that no commit here can hold.
pub(super) fn files(
    context: &DecisionContext<'_>,
    candidate: &Candidate,
    current: &Incumbent,
    git: &Outside,
) -> Result<Vec<String>, PromotionError> {
    let before: BTreeMap<&str, Digest> =
        current.headers.iter().map(|header| (header.path.as_str(), header.digest)).collect();
    let changed = |header: &&Content| {
        // What the incumbent was built from is not known of those that older versions kept.
        current.build.is_some()
            && before.get(header.path.as_str()) != Some(&Digest::of(&header.bytes))
    };
    let mut wanted: Vec<String> = candidate.sources.iter().map(|file| file.path.clone()).collect();
    let mut named: Vec<(String, bool)> =
        candidate.headers.iter().map(|h| (h.path.clone(), changed(&h))).collect();
    named.extend(way(context, candidate, current).into_iter().map(|file| (file, true)));
    let root = context.root();
    let absolute: Vec<PathBuf> = named.iter().map(|(path, _)| root.join(path)).collect();
    let mut refused = Vec::new();
    let fits = git::fits(root, &absolute, git);
    for ((path, changed), fit) in named.into_iter().zip(fits) {
        match fit {
            Fit::Here => wanted.push(path),
            Fit::No(why) if changed => refused.push(format!("{path}: {why}")),
            Fit::No(_) | Fit::Elsewhere => {}
        }
    }
    if refused.is_empty() {
        return Ok(wanted);
    }
    Err(PromotionError::NotWhole { files: refused })
}

/// The pipeline's files, where it is they that changed how the kernel is built and the last commit
/// does not say so yet.
fn way(context: &DecisionContext<'_>, candidate: &Candidate, current: &Incumbent) -> Vec<String> {
    let (Some(recipe), Some(build)) = (&context.recipe, &candidate.build) else {
        return Vec::new();
    };
    let same = current.build.as_ref().is_none_or(|before| before.compile == build.compile);
    if same || recipe.is_committed(&build.compile) { Vec::new() } else { recipe.files.clone() }
}

/// Whether every file of the project that the candidate is built from, and how, is the incumbent's.
pub(super) fn is_same(candidate: &Candidate, current: &Incumbent) -> bool {
    let Some((build, before)) = candidate.build.as_ref().zip(current.build.as_ref()) else {
        return false;
    };
    let own = candidate.sources.iter().chain(&candidate.headers).map(Content::source);
    own.eq(current.files().map(|(source, _)| source.clone())) && build.compile == before.compile
}

/// Files that are not the project's, or that stages write, and are other than the incumbent's were.
pub(super) fn others(build: &Build, before: &Build) -> Vec<String> {
    let known: BTreeMap<&str, Digest> =
        before.others.iter().map(|other| (other.path.as_str(), other.digest)).collect();
    let differs = |path: &str, digest| known.get(path).is_some_and(|before| *before != digest);
    let changed = build.others.iter().filter(|other| differs(&other.path, other.digest));
    changed.map(|other| other.path.clone()).collect()
}
