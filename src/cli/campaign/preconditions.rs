//! What must hold before a campaign spends anything, in a fixed order.

use std::path::Path;

use super::ready::{Ready, surroundings};
use crate::campaign::agent;
use crate::campaign::compute::{self, ComputeError, Place, Surroundings};
use crate::campaign::file::{AgentSandbox, Dirty, Publish};
use crate::campaign::settings::{AgentKind, Settings};
use crate::campaign::spent::Reported;
use crate::campaign::step::Announce;
use crate::cli::exit::Exit;
use crate::cli::refusal::Refusal;
use crate::git::{Outside, State};
use crate::host::Launcher;
use crate::process::{Cancel, sandbox};
use crate::project::host::Disk;

/// The commit that is checked out, where all of it holds: the checkout first, then who proposes.
/// What judges comes after it, when the baseline is measured.
pub(super) fn check(ready: &Ready) -> Result<Option<String>, Refusal> {
    let git = Outside::of(&Disk, Cancel::default());
    let state = State::of(&ready.project.root, &git);
    let state = state.map_err(|e| Refusal::Words(e.to_string(), None, Exit::User))?;
    is_clean(ready, state.as_ref())?;
    needs_commit(&ready.settings, state.as_ref())?;
    needs_branch(&ready.settings, state.as_ref())?;
    has_agent(ready)?;
    Ok(state.and_then(|state| state.head))
}

fn refusal(what: &str, hint: &str) -> Refusal {
    Refusal::Words(what.to_owned(), Some(hint.to_owned()), Exit::User)
}

fn is_clean(ready: &Ready, state: Option<&State>) -> Result<(), Refusal> {
    let changed = state.into_iter().flat_map(|state| &state.changed);
    // Neither what optloop wrote, nor the campaign file, nor what is replayed is part of what agents
    // work on.
    let replayed = match &ready.settings.agent.kind {
        AgentKind::Replay(folder) => ready.file.parent().map(|parent| parent.join(folder)),
        AgentKind::Command { .. } => None,
    };
    let is_apart = |path: &Path| {
        path.iter().any(|part| part == ".optloop")
            || ready.file.ends_with(path)
            || replayed
                .as_ref()
                .is_some_and(|folder| ready.project.root.join(path).starts_with(folder))
    };
    let changed = changed.filter(|path| !is_apart(path));
    let names: Vec<String> = changed.take(10).map(|path| path.display().to_string()).collect();
    if ready.settings.dirty != Dirty::Fail || names.is_empty() {
        return Ok(());
    }
    let what = format!("the checkout has changes that are not committed: {}", names.join(", "));
    let hint = "commit them, or write dirty = \"include\" to begin with them, or \"ignore\" to \
                begin with the last commit";
    Err(refusal(&what, hint))
}

/// Something that follows each best needs a commit to put it on.
fn needs_commit(settings: &Settings, state: Option<&State>) -> Result<(), Refusal> {
    let has_one = state.is_some_and(|state| state.head.is_some());
    if has_one || settings.rules.announce == Announce::Never {
        return Ok(());
    }
    let what = "`publish` and `on_best` need a git repository with a commit";
    Err(refusal(what, "make one: `git init`, `git add -A`, `git commit`"))
}

/// Only a branch can be moved. All else works with a detached HEAD, too.
fn needs_branch(settings: &Settings, state: Option<&State>) -> Result<(), Refusal> {
    let has_one = state.is_some_and(|state| state.branch.is_some());
    if has_one || settings.publish != Publish::Merge {
        return Ok(());
    }
    let what = "HEAD is detached, and publish = \"merge\" moves the branch that is checked out";
    Err(refusal(what, "`git switch BRANCH`, or write publish = \"branch\""))
}

fn has_agent(ready: &Ready) -> Result<(), Refusal> {
    let agent = &ready.settings.agent;
    if let Some(what) = agent::missing(agent, &surroundings(ready), &ready.project.root) {
        return Err(refusal(&what, "mend [agent] in the campaign file"));
    }
    if matches!(agent.kind, AgentKind::Command { .. })
        && agent.sandbox == AgentSandbox::Auto
        && !sandbox::agent::confines_writes()
    {
        let what = "this machine cannot confine what the agent writes: it offers no Landlock";
        let hint = "write [agent] sandbox = \"none\" to run it without, or use Linux 5.13 or later";
        return Err(refusal(what, hint));
    }
    Ok(())
}

/// What cannot be kept, in words: budgets of money where nobody says what is spent.
pub(super) fn unenforced(settings: &Settings) -> Option<&'static str> {
    let (rules, usage) = (&settings.rules, settings.agent.usage);
    if rules.dollars.is_none() && rules.tokens.is_none() {
        return None;
    }
    match usage {
        Reported::Exact => None,
        Reported::Partial => Some(
            "some calls of this agent do not say what they cost: the campaign may spend more than \
             budget.dollars and budget.tokens",
        ),
        Reported::Unavailable => Some(
            "budget.dollars and budget.tokens cannot be enforced: nothing says that this agent reports \
             what it costs; where it does, as `usage` in its answer, write [agent] usage = \"exact\" or \
             \"partial\"",
        ),
    }
}

/// Where commands run must be there, and the device that is wanted.
pub(super) fn compute(
    ready: &Ready,
    campaign: &Path,
    with: Surroundings<'_>,
) -> Result<(), Refusal> {
    let compute = &ready.settings.compute;
    let root = &ready.project.root;
    let checked = compute::check(compute, root, with);
    let refused = |error: ComputeError, hint: &str| match error {
        ComputeError::Interrupted => {
            Refusal::Words("interrupted".to_owned(), None, Exit::Interrupted)
        }
        other => Refusal::Words(other.to_string(), Some(hint.to_owned()), Exit::NoDevice),
    };
    checked.map_err(|error| {
        refused(error, "[compute] is not there: start it, or leave [compute] out to run here")
    })?;
    let Some(wanted) = &compute.device else { return Ok(()) };
    let launcher = Launcher::of(&compute.launcher);
    let place = Place { launcher: launcher.as_ref(), tree: root, campaign };
    let found = compute::device(wanted, place, with);
    found.map_err(|error| refused(error, "take the wanted one, or mend [compute] device"))
}
