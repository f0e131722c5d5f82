//! What a stage's numbers answer. Incumbents are filed under it and numbers belong to it: never to
//! a name, of which there may be two, and what it stands for may change.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::host::Host;
use crate::pipeline::{
    BenchWork, CacheMode, CommandMetric, CommandWork, Pipeline, Run, Target, Variant,
};
use crate::problem::{self, Problem, Reference};

/// What stands for the kernel's path in a command: another kernel is no other question.
const KERNEL: &str = "${kernel}";

/// What a number answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// What people call it: the problem, or the pipeline where there is none.
    pub problem: String,
    /// What is computed: of the problem with its cases and its reference, of a command's text.
    pub digest: Digest,
    /// Where, as it was asked for: `cpu`, `cpu:3` and `cpu:all` are three places, because cores need
    /// not be alike and threads share them.
    pub target: Target,
    /// By which number.
    pub metric: String,
    /// How the caches are before a launch; nothing for commands.
    pub mode: Option<CacheMode>,
}

/// What is known of a pipeline when it is asked what it asks.
pub struct Asking<'a> {
    /// The pipeline.
    pub pipeline: &'a Pipeline,
    /// Its problem, where it has one.
    pub problem: Option<&'a Problem>,
    /// Its folder, relative to the root.
    pub dir: String,
    /// Files.
    pub host: &'a dyn Host,
}

/// The part of all questions of a pipeline that is the same.
#[derive(Debug, Clone)]
pub struct Asked {
    name: String,
    /// Of its problem, where it has one.
    problem: Option<Digest>,
    target: Target,
    dir: String,
    kernel: Vec<String>,
    /// The files that were read for this.
    pub read: Vec<PathBuf>,
}

impl Asked {
    /// What a pipeline asks.
    pub fn of(asking: &Asking<'_>) -> Self {
        let Asking { pipeline, problem, dir, host } = asking;
        let read = |path: &Path| host.read(path).ok();
        let known = problem.map(|problem| {
            let reference = Reference::of(&problem.reference, &read);
            (problem::asked_digest(problem, &reference), reference.files)
        });
        let (problem_digest, read) = known.unzip();
        Self {
            name: problem.map_or(&pipeline.name, |problem| &problem.name).clone(),
            problem: problem_digest,
            target: pipeline.target(),
            dir: dir.clone(),
            kernel: pipeline.kernel.iter().filter(|path| !path.is_empty()).cloned().collect(),
            read: read.unwrap_or_default(),
        }
    }

    /// What one of its stages asks; nothing where there is no number to be better than.
    pub fn by(&self, variant: &Variant) -> Option<Question> {
        match variant.work.command() {
            Some(work) => self.command(&variant.label, work),
            None => self.bench(variant.work.bench()?),
        }
    }

    fn bench(&self, work: &BenchWork) -> Option<Question> {
        Some(Question {
            problem: self.name.clone(),
            digest: self.problem?,
            target: self.target.clone(),
            metric: work.metric.clone(),
            mode: Some(work.mode),
        })
    }

    fn command(&self, label: &str, work: &CommandWork) -> Option<Question> {
        let metric = work.metric.as_ref()?;
        let problem = self.problem.map_or_else(String::new, |digest| digest.hex());
        let mut text = vec![problem, self.dir.clone(), label.to_owned()];
        match &work.run {
            Run::Shell(line) => text.push(self.without_kernel(line)),
            Run::Argv(words) => text.extend(words.iter().map(|word| self.without_kernel(word))),
        }
        let env = work.env.iter();
        text.extend(env.map(|(name, value)| format!("{name}={}", self.without_kernel(value))));
        // Whether it repeats is how it is decided, not what is asked.
        let metric = CommandMetric { deterministic: None, ..metric.clone() };
        // Plain data always encodes.
        text.push(serde_json::to_string(&metric).unwrap_or_default());
        Some(Question {
            problem: self.name.clone(),
            digest: Digest::of_parts(text.iter().map(String::as_bytes)),
            target: self.target.clone(),
            metric: metric.name,
            mode: None,
        })
    }

    /// A command's text with the kernel's own path taken out.
    fn without_kernel(&self, text: &str) -> String {
        self.kernel.iter().fold(text.to_owned(), |text, path| replaced(&text, path))
    }
}

/// `path` replaced where it stands as a whole word.
fn replaced(text: &str, path: &str) -> String {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || "_-./".contains(c));
    let (mut done, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(path) {
        let (before, after) = (&rest[..at], &rest[at + path.len()..]);
        let joined = before.chars().next_back().or_else(|| done.chars().next_back());
        let whole = !part(joined) && !part(after.chars().next());
        done.push_str(before);
        done.push_str(if whole { KERNEL } else { path });
        rest = after;
    }
    done + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_path_is_replaced_where_it_is_a_whole_word() {
        for (text, path, expected) in [
            ("cat k.c", "k.c", "cat ${kernel}"),
            ("cat 'my k.c' k.c", "my k.c", "cat '${kernel}' k.c"),
            ("make k; ./k.c k k", "k", "make ${kernel}; ./k.c ${kernel} ${kernel}"),
            ("a/k.c k.cc -k.c", "k.c", "a/k.c k.cc -k.c"),
            ("K=k.c", "k.c", "K=${kernel}"),
        ] {
            assert_eq!(replaced(text, path), expected);
        }
    }

    proptest! {
        #[test]
        fn another_kernel_is_no_other_question(
            words in prop::collection::vec("[a-c ;=]{0,4}", 0..6),
            one in "[k-m]{1,3}", other in "[n-p/.]{1,4}",
        ) {
            let command = |kernel: &str| words.join(&format!(" {kernel} "));
            prop_assert_eq!(
                replaced(&command(&one), &one),
                replaced(&command(&other), &other)
            );
        }
    }
}
