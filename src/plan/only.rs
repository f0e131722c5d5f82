//! A pipeline cut down to some of its stages and what these need, so that what the others name need
//! not be there.

use std::collections::BTreeSet;
use std::path::Path;

use super::build::relative;
use super::glob;
use crate::pipeline::{CommandWork, Pipeline, Stage};
use crate::problem::Problem;

/// Leaves only the `wanted` stages, those they need, and those that write what they read. All stay
/// when none is named, or one that there is not: whoever selects stages says so better.
pub fn restrict(
    pipeline: &mut Pipeline,
    problem: Option<&Problem>,
    root: &Path,
    wanted: &[String],
) {
    let there = |name: &String| pipeline.stages.iter().any(|stage| stage.name == *name);
    if wanted.is_empty() || !wanted.iter().all(there) {
        return;
    }
    let stages = &pipeline.stages;
    let named = |path: &String| relative(root, &pipeline.dir, path);
    let mut built: Vec<String> = pipeline.kernel.iter().map(named).collect();
    built.extend(problem.map(|p| relative(root, Path::new(""), &p.reference.to_string_lossy())));
    let mut kept: BTreeSet<String> = wanted.iter().cloned().collect();
    let mut next: Vec<&String> = wanted.iter().collect();
    while let Some(name) = next.pop() {
        let Some(stage) = stages.iter().find(|stage| stage.name == *name) else { continue };
        let reads: Vec<String> = if commands(stage).next().is_some() {
            commands(stage).flat_map(|work| &work.inputs).map(named).collect()
        } else {
            built.clone()
        };
        let feeds = |other: &&Stage| {
            let mut outputs = commands(other).flat_map(|work| &work.outputs).map(named);
            stage.needs.iter().any(|(need, _)| *need == other.name)
                || outputs.any(|output| reads.iter().any(|read| means(read, &output)))
        };
        let more = stages.iter().filter(feeds).filter(|other| kept.insert(other.name.clone()));
        next.extend(more.map(|other| &other.name));
    }
    pipeline.stages.retain(|stage| kept.contains(&stage.name));
}

fn commands(stage: &Stage) -> impl Iterator<Item = &CommandWork> {
    stage.variants.iter().filter_map(|variant| variant.work.command())
}

/// Whether an input, a name or a pattern, stands for this file.
fn means(input: &str, file: &str) -> bool {
    input == file
        || (glob::is_pattern(input) && glob::matcher(input).is_ok_and(|glob| glob.is_match(file)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::MemoryHost;
    use crate::pipeline::{self, Overrides};

    const STAGES: &str = "
        [stages.generate]\nrun = 'x'\noutputs = ['gen/a.h']\n
        [stages.unrelated]\nrun = 'x'\noutputs = ['other']\n
        [stages.before]\nrun = 'x'\n
        [stages.asked]\nrun = 'x'\nneeds = ['before']\ninputs = ['gen/*.h']\n
        [stages.after]\nrun = 'x'\nneeds = ['asked']\n";

    fn left(wanted: &[&str]) -> Vec<String> {
        let host = MemoryHost::with_files([("/w/p.toml", format!("name = 'p'\n{STAGES}"))]);
        let loaded = pipeline::load(Path::new("/w/p.toml"), &Overrides::default(), &host);
        let mut pipeline = loaded.pipeline.expect("a pipeline");
        let wanted: Vec<String> = wanted.iter().map(|&name| name.to_owned()).collect();
        restrict(&mut pipeline, None, Path::new("/w"), &wanted);
        pipeline.stages.into_iter().map(|stage| stage.name).collect()
    }

    #[test]
    fn what_is_asked_for_stays_with_what_it_needs_and_what_writes_its_inputs() {
        assert_eq!(left(&["asked"]), ["generate", "before", "asked"]);
        assert_eq!(left(&["before", "unrelated"]), ["unrelated", "before"]);
        assert_eq!(left(&["nowhere"]).len(), 5);
        assert_eq!(left(&[]).len(), 5);
    }
}
