//! What a stage left behind: its outputs, what it read beyond its declared inputs, and whether
//! everything that it read stayed the same.

use std::io;
use std::path::{Path, PathBuf};

use super::seen::Seen;
use super::shared::Shared;
use super::stage::{Failure, FailureClass, StageOutcome};
use super::subject::{Job, Known};
use crate::cache::Output;
use crate::cache::entry;
use crate::plan::build::relative;

/// Why it cannot be told what a result depends on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Undiscoverable {
    /// Keys hold text.
    #[error("it reads {}, whose name is not UTF-8", .0.display())]
    Unnameable(PathBuf),
    /// A file that it read is there and cannot be read.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
}

/// Looks at what a job left when it has passed.
pub(super) struct Collector<'a> {
    pub(super) job: &'a Job,
    pub(super) shared: &'a Shared<'a>,
}

impl Collector<'_> {
    /// Takes its outputs into the store.
    ///
    /// # Errors
    /// The failure that an output is which is missing, is a folder or keeps changing.
    pub(super) fn keep_outputs(&self) -> Result<Vec<(Option<Seen>, Output)>, Failure> {
        self.job.outputs.iter().map(|known| self.keep_output(known)).collect()
    }

    fn keep_output(&self, known: &Known) -> Result<(Option<Seen>, Output), Failure> {
        const TRIES: u32 = 4;
        let place = self.shared.root.join(&known.name);
        let failed = |message: String| Failure { class: FailureClass::Failed, message };
        for _ in 0..TRIES {
            let stamp_ns = self.shared.eyes().clock_ns();
            let stat = entry::stat_path(self.shared.root_fd, &known.name)
                .map_err(|e| Failure::of_io(&format!("cannot look at {}", known.name), &e))?;
            if stat.is_missing() {
                return Err(failed(format!(
                    "it passed, but did not write its declared output {}",
                    known.name
                )));
            }
            if place.is_dir() {
                return Err(failed(format!(
                    "its output {} is a folder, and outputs are files: name each file in it",
                    known.name
                )));
            }
            let kept = self.shared.store.put_file(&place);
            let (digest, mode) = kept.map_err(|e| Failure::of_cache("", &e))?;
            let after = entry::stat_path(self.shared.root_fd, &known.name);
            if after.is_ok_and(|after| after == stat) {
                let seen = Known { stat, digest, stamp_ns, ..known.clone() }.seen();
                let link = std::fs::read_link(&place).ok();
                return Ok((seen, Output { path: known.name.clone(), digest, mode, link }));
            }
        }
        Err(failed(format!("its output {} keeps changing after it ended", known.name)))
    }

    /// What it was seen to read beyond what it declared, sorted, each once.
    ///
    /// # Errors
    /// The first that cannot be read or named, so that a result would hang on less than it does.
    pub(super) fn discoveries(&self, outcome: &StageOutcome) -> Result<Vec<Known>, Undiscoverable> {
        let declared: Vec<&str> = self.job.inputs.iter().map(|k| k.name.as_str()).collect();
        let own: Vec<&str> = self.job.outputs.iter().map(|k| k.name.as_str()).collect();
        let mut names = Vec::with_capacity(outcome.discovered.len());
        for path in &outcome.discovered {
            let Some(text) = path.to_str() else {
                return Err(Undiscoverable::Unnameable(path.clone()));
            };
            let name = relative(self.shared.root, Path::new(""), text);
            let folder = if text.ends_with('/') { "/" } else { "" };
            if !declared.contains(&name.as_str())
                && !own.contains(&name.as_str())
                && !name.starts_with(".optloop/tmp/")
            {
                names.push(name + folder);
            }
        }
        names.sort_unstable();
        names.dedup();
        Ok(self.job.know_names(&names, &self.shared.eyes())?)
    }

    /// Inputs that are not what they were when the key was made, and discovered files written
    /// after it began: the result belongs to neither state.
    pub(super) fn changed_since(&self, began_ns: i64, discovered: &[Known]) -> Vec<String> {
        let eyes = self.shared.eyes();
        let differs = |known: &&Known| {
            let mut now = (*known).clone();
            // A file that was written and is again what it was may have been read in between.
            eyes.look_again(&mut now).is_err()
                || now.digest != known.digest
                || now.stat != known.stat
        };
        let declared = self.job.inputs.iter().filter(differs);
        let newer = discovered.iter().filter(|k| k.stat.newest_ns() >= began_ns);
        declared.chain(newer).map(|k| k.name.clone()).collect()
    }
}
