//! A candidate goes: the incumbent's files are put back.

use std::path::PathBuf;

use super::present::{self, Proof};
use super::{Ground, Measured, Refused, Said, Says, keep, line, say};
use crate::digest::Digest;
use crate::record::Decision;
use crate::record::incumbent::{self, Change, Incumbent};
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

/// Puts the incumbent's files back.
///
/// # Errors
/// Why not; nothing has changed then.
pub fn revert(ground: &Ground<'_>, measured: &Measured, said: &Said) -> Result<Reverted, Refused> {
    let incumbent = incumbent::current(ground.folder(), &ground.place).map_err(Refused::Broken)?;
    let incumbent = incumbent.ok_or_else(|| {
        let what = format!("there is no incumbent of {} to go back to", ground.place.problem);
        Refused::unfit(what, "the first passing run of the pipeline makes one: the baseline")
    })?;
    keep::same_incumbent(measured, &incumbent)?;
    let event = match measured.decision() {
        Some(Decision::Undecided) => What::Undecided,
        _ => What::Revert,
    };
    let (digest, sources) = match back_already(ground, &incumbent) {
        true => (recorded(measured).unwrap_or(incumbent.digest), Vec::new()),
        false => {
            let candidate = present::candidate(ground, measured, Proof::Content)?;
            let source = |content: &incumbent::Content| Source {
                path: content.path.clone(),
                digest: Digest::of(&content.bytes),
            };
            (candidate.digest, candidate.sources.iter().map(source).collect())
        }
    };
    let mut line = line(event, ground, measured, digest);
    line.sources = sources;
    say(&mut line, said);
    let broken = Refused::Broken;
    let change = Change::Revert(Box::new(line));
    let intent = incumbent::begin(ground.folder(), &change).map_err(broken)?;
    let differs = |file: &&incumbent::Restore| file.before != Some(file.after);
    let restored: Vec<String> =
        intent.files.iter().filter(differs).map(|file| file.path.clone()).collect();
    let kept = (!restored.is_empty()).then(|| ground.folder().join(&intent.kept));
    let finished = incumbent::finish(ground.folder(), intent, None).map_err(broken)?;
    Ok(Reverted { line: finished.line, restored, kept, warnings: finished.warnings })
}

/// Whether every file of the incumbent's holds what it held then.
fn back_already(ground: &Ground<'_>, incumbent: &Incumbent) -> bool {
    incumbent.sources.iter().all(|source| {
        let now = Digest::of_file(&ground.root().join(&source.path));
        now.is_ok_and(|digest| digest == source.digest)
    })
}

/// The candidate that the artifact is about, by what was recorded.
fn recorded(measured: &Measured) -> Option<Digest> {
    if measured.says == Says::Identical {
        return None;
    }
    let kernel = measured.artifact.provenance.kernel.first()?;
    let field = measured.field("input:kernel binary");
    let field = field.or_else(|| measured.field(&format!("input:{kernel}")))?;
    field.parse().ok()
}
