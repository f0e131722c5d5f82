//! Whether what lies in a campaign's folder is what its log says.

use std::fs;
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use super::derived;
use super::event::{Outcome, Status};
use super::history::{History, Iteration};
use super::log::{FILE, Log};
use super::trees::open_repository;
use crate::git::Private;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    /// Where, below the campaign's folder.
    pub place: String,
    /// How bad it is.
    pub gravity: Gravity,
    /// What, and what to do.
    pub message: String,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Gravity {
    /// Something is lost or contradicts itself.
    Error,
    /// `log rebuild` or `resume` mends it.
    Warning,
}

/// Looks at everything in a campaign's folder.
pub fn look(folder: &Path) -> Vec<Finding> {
    let mut findings = Findings::default();
    match Log::open(folder) {
        Err(error) => findings.error(FILE, &error.to_string()),
        Ok((log, torn)) => {
            if let Some(torn) = torn {
                findings.warn(FILE, &format!("{torn}; `optloop loop resume` cuts it off"));
            }
            findings.history(log.history());
            findings.repository(folder, log.history());
            findings.kept_files(folder, log.history());
            findings.derived(folder, log.history());
        }
    }
    findings.0
}

/// Where all artifacts are, below the campaign's folder.
fn artifacts(history: &History) -> Vec<String> {
    let baseline = history.baseline.iter().map(|one| ("judge".to_owned(), &one.artifact));
    let earlier = history.epochs.iter().enumerate().filter_map(|(at, epoch)| {
        Some((format!("epochs/{}", at + 1), &epoch.baseline.as_ref()?.artifact))
    });
    let judged = history.iterations.iter().filter_map(|one| {
        let artifact = one.judgement.as_ref()?.artifact.as_ref()?;
        Some((history.judge_of(one.number), artifact))
    });
    let all = baseline.chain(earlier).chain(judged).filter(|(_, artifact)| !artifact.is_empty());
    all.map(|(folder, artifact)| format!("{folder}/{artifact}")).collect()
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn tell(&mut self, place: &str, gravity: Gravity, message: &str) {
        let (place, message) = (place.to_owned(), message.to_owned());
        self.0.push(Finding { place, gravity, message });
    }

    fn error(&mut self, place: &str, message: &str) {
        self.tell(place, Gravity::Error, message);
    }

    fn warn(&mut self, place: &str, message: &str) {
        self.tell(place, Gravity::Warning, message);
    }

    /// What the fold of the events takes without a word. That numbers have no gaps, and that what
    /// was kept has a commit and a value, it has proved.
    fn history(&mut self, history: &History) {
        for iteration in &history.iterations {
            let outcome = iteration.judgement.as_ref().map(|judged| judged.outcome);
            if iteration.status == Some(Status::Kept) && outcome != Some(Outcome::Better) {
                let number = iteration.number;
                self.error(FILE, &format!("iteration {number} was kept and not judged better"));
            }
        }
    }

    fn repository(&mut self, folder: &Path, history: &History) {
        let repository = match open_repository(folder) {
            Ok(repository) => repository,
            Err(error) => return self.error("repo", &error.to_string()),
        };
        if let Some(begun) = history.begun.as_ref().filter(|begun| !repository.has(&begun.base)) {
            self.error("repo", &format!("the commit of the base, {}, is not there", begun.base));
        }
        for iteration in &history.iterations {
            self.commit(&repository, iteration);
        }
        let next = history.next_number();
        if repository.branch(&format!("iter/{next:04}")).is_some() {
            let what = "there is a branch of an iteration that the log does not know: \
                        `optloop loop resume` makes it anew";
            self.warn(&format!("repo: iter/{next:04}"), what);
        }
        let best = history.best.as_ref().map(|best| best.commit.clone());
        if best.is_some() && repository.branch("best") != best {
            let what = "this is not the commit of the best: `optloop loop resume` mends it";
            self.warn("repo: best", what);
        }
    }

    fn commit(&mut self, repository: &Private, iteration: &Iteration) {
        let Some(commit) = &iteration.commit else { return };
        let branch = format!("iter/{:04}", iteration.number);
        if !repository.has(commit) {
            self.error(&format!("repo: {branch}"), &format!("commit {commit} is not there"));
        } else if repository.branch(&branch).as_ref() != Some(commit) {
            let what = format!("the branch is not at commit {commit}, which the log names");
            self.warn(&format!("repo: {branch}"), &what);
        }
    }

    /// Artifacts, and what is kept with each iteration.
    fn kept_files(&mut self, folder: &Path, history: &History) {
        for artifact in artifacts(history) {
            if !folder.join(&artifact).is_file() {
                self.error(&artifact, "this artifact is not there");
            }
        }
        for iteration in &history.iterations {
            let place = format!("iterations/{:04}", iteration.number);
            let files = [
                ("prompt.md", iteration.proposal.is_some()),
                ("change.patch", iteration.commit.is_some()),
            ];
            for (file, _) in files.iter().filter(|(_, is_due)| *is_due) {
                let place = format!("{place}/{file}");
                if !folder.join(&place).is_file() {
                    self.error(&place, "this file is not there");
                }
            }
        }
    }

    fn derived(&mut self, folder: &Path, history: &History) {
        for file in derived::files(history) {
            let there = fs::read_to_string(folder.join(&file.name)).ok();
            if there.as_ref() != Some(&file.text) {
                let what = match there {
                    None => "it is not there",
                    Some(_) => "it is not what the log says",
                };
                let mend = "`optloop loop log rebuild` makes it anew";
                self.warn(&file.name, &format!("{what}: {mend}"));
            }
        }
    }
}
