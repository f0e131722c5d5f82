//! What happens in a campaign, in lines for people.

use std::path::Path;

use crate::campaign::event::{Announced, AskedFor, Event, Holds, Outcome, Status, Steered};
use crate::campaign::file::{AgentSandbox, OnMoved};
use crate::campaign::history::{History, Iteration};
use crate::campaign::prompt::one_line;
use crate::campaign::report::{in_pairs, number, percent};
use crate::campaign::settings::{AgentKind, Settings};
use crate::campaign::spent::Usage;
use crate::campaign::standing::Standing;
use crate::process::sandbox::SandboxLevel;

/// An event; nothing for those that only programs need.
pub(super) fn event(event: &Event, history: &History, settings: &Settings) -> Option<String> {
    match event {
        Event::Begun(begun) => Some(format!("{}: {}", begun.id, settings.goal.trim())),
        Event::Baseline(baseline) => {
            Some(format!("  baseline   {} {}", baseline.metric, number(baseline.value)))
        }
        Event::Opened { iteration } => Some(header(*iteration, history, settings)),
        Event::Ended { .. } => {
            let last = history.iterations.last()?;
            Some(format!("  {}{}", one_line(last), beside(last, history)))
        }
        Event::Confirmed { value, holds, .. } => {
            let word = if *holds == Holds::Yes { "reaches" } else { "does not reach" };
            Some(format!("  measured again: {} {word} the target", number(*value)))
        }
        Event::Anchored(anchored) => Some(format!("  anchor     {}", in_pairs(anchored))),
        Event::AskedAgain { why: AskedFor::Rework, .. } => {
            Some("  better, and refused by a guard: back to the agent".to_owned())
        }
        Event::AskedAgain { why: AskedFor::FailedCall, .. } => {
            Some("  the agent failed, and is asked once more".to_owned())
        }
        Event::Moved { .. } if settings.rules.on_moved == OnMoved::Adopt => None,
        Event::Moved { head } => Some(format!(
            "another commit is checked out now, {}: the campaign knows the project as it was when it \
             began; on_moved = \"adopt\" takes that commit up, \"stop\" ends the campaign",
            head.get(..10).unwrap_or(head)
        )),
        Event::Adopted(adopted) => {
            let head = adopted.head.get(..10).unwrap_or(&adopted.head);
            let with = if adopted.merged == adopted.base { "" } else { " with the kept changes" };
            Some(format!("  adopted    {head}{with}: epoch {}", adopted.epoch))
        }
        Event::MergedJudged { judgement } if judgement.outcome != Outcome::Better => Some(format!(
            "  warning    the kept changes are not better than the adopted commit without them, \
                 and are dropped: {}",
            judgement.reason
        )),
        Event::MergedKept => Some(best(history)),
        Event::Held { name } => Some(format!("  holds      {name}")),
        Event::NotHeld { message } => {
            Some(format!("  warning    no device is held, and it goes on without one: {message}"))
        }
        Event::Announced(said) => announced(said),
        Event::Resumed => Some("taken up where it was left".to_owned()),
        Event::Steered(steered) => Some(self::steered(steered)),
        Event::Proposed { .. }
        | Event::Committed { .. }
        | Event::Judged { .. }
        | Event::MergedJudged { .. }
        | Event::Limited(_)
        | Event::Halted { .. }
        | Event::Finished { .. } => None,
    }
}

/// The kept changes on an adopted commit.
fn best(history: &History) -> String {
    let best = history.best.as_ref().map(|best| number(best.value)).unwrap_or_default();
    let gain = history.gain().map(percent).unwrap_or_default();
    format!("  best       {best}: the kept changes, on the adopted commit; {gain} beside it")
}

fn steered(steered: &Steered) -> String {
    match &steered.refused {
        None => format!("  steered    {}", steered.asks.words()),
        Some(why) => format!("  steered    not followed: {why} ({})", steered.request),
    }
}

/// What followed a new best, with what did not succeed.
fn announced(said: &Announced) -> Option<String> {
    let moved = said.merged.as_deref().map(|moved| moved.trim_start_matches("refs/heads/"));
    let moved = moved.map(|moved| format!(", and merged into {moved}")).unwrap_or_default();
    let branch = said.branch.as_ref().map(|branch| format!("  published  {branch}{moved}"));
    let warnings = said.warnings.iter().map(|warning| format!("  warning    {warning}"));
    let lines: Vec<String> = branch.into_iter().chain(warnings).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// The line above an iteration.
fn header(iteration: u32, history: &History, settings: &Settings) -> String {
    let of = history
        .steering
        .iterations
        .or(settings.rules.iterations)
        .map(|most| format!("/{most}"))
        .unwrap_or_default();
    let standing = Standing::of(history);
    let best = standing.best.map(|best| {
        let gain = standing.gain.filter(|_| standing.kept > 0).map(percent);
        let gain = gain.map(|gain| format!(", {gain}")).unwrap_or_default();
        let from = standing.best_iteration.unwrap_or_default();
        format!("  best {} (iteration {from}{gain})", number(best))
    });
    let missing = standing.to_target.filter(|missing| *missing > 0.0);
    let missing = missing.map(|missing| format!("  {} from the target", number(missing)));
    format!("iteration {iteration}{of}{}{}", best.unwrap_or_default(), missing.unwrap_or_default())
}

/// How a measured candidate compares with the baseline; what the best has to do with it stands in
/// the verdict's reason.
fn beside(iteration: &Iteration, history: &History) -> String {
    let value = iteration.judgement.as_ref().and_then(|judged| judged.value);
    let delta = value.and_then(|value| history.beside_baseline(value)).map(percent);
    delta
        .map(|delta| format!("; {delta} beside the baseline's own measurement"))
        .unwrap_or_default()
}

/// Where it stands, in a few lines.
pub(super) fn summary(history: &History) -> String {
    let mut lines = Vec::new();
    if let Some(end) = history.end {
        lines.push(format!("  ended      {}", end.words()));
    }
    if let (Some(baseline), Some(best)) = (&history.baseline, &history.best) {
        let gain = history
            .gain()
            .filter(|_| best.iteration > 0)
            .map(percent)
            .map(|gain| format!(", {gain} beside the baseline's own measurement"));
        let gain = gain.unwrap_or_default();
        lines.push(format!(
            "  best       {} {} (iteration {}{gain}); {} at the beginning",
            baseline.metric,
            number(best.value),
            best.iteration,
            number(baseline.value)
        ));
    }
    if let Some(anchored) = &history.anchor {
        lines.push(format!("  anchor     {}", in_pairs(anchored)));
    }
    let ended = history.iterations.iter().filter(|one| one.status.is_some()).count();
    let kept = history.count(&[Status::Kept]);
    lines.push(format!("  iterations {ended}, of which kept: {kept}"));
    let has_money = history.limits.dollars.is_some() || history.limits.tokens.is_some();
    if has_money || history.spent.usage != Usage::default() {
        lines.push(format!("  costs      {}", history.spent.words()));
    }
    lines.join("\n")
}

/// What confines the agent.
fn sandbox(settings: &Settings) -> String {
    match (&settings.agent.kind, settings.agent.sandbox) {
        (AgentKind::Replay(_), _) => "nothing is started".to_owned(),
        (AgentKind::Command { .. }, AgentSandbox::None) => {
            "none: the agent can write wherever you can".to_owned()
        }
        (AgentKind::Command { .. }, AgentSandbox::Auto) => {
            let abi = SandboxLevel::available().landlock_abi;
            format!("writes are confined (Landlock {abi}); network and local sockets are open")
        }
    }
}

/// What a campaign would do.
pub(super) fn plan(settings: &Settings, pipeline: &Path) -> String {
    let agent = match &settings.agent.kind {
        AgentKind::Command { run, .. } => run.join(" "),
        AgentKind::Replay(folder) => format!("replays {}", folder.display()),
    };
    let rules = &settings.rules;
    let limit = |value: Option<u32>| value.map_or_else(|| "no limit".to_owned(), |n| n.to_string());
    let hours = rules
        .seconds
        .map_or_else(|| "no limit".to_owned(), |seconds| format!("{} h", seconds / 3600.0));
    let mut lines = vec![
        format!("  agent      {agent}"),
        format!("  sandbox    {}", sandbox(settings)),
        format!("  judge      {}", pipeline.display()),
        format!("  may edit   {}", settings.patterns.edit.join(", ")),
        format!("  iterations {}", limit(rules.iterations)),
        format!("  time       {hours}"),
        format!("  failures   {}", limit(rules.failures)),
    ];
    if !settings.patterns.protect.is_empty() {
        lines.push(format!("  protected  {}", settings.patterns.protect.join(", ")));
    }
    if !settings.agent.env.is_empty() {
        lines.push(format!("  needs      {}", settings.agent.env.join(", ")));
    }
    if !settings.agent.deny.is_empty() {
        lines.push(format!("  denied     {}", settings.agent.deny.join(", ")));
    }
    for guard in &settings.guards {
        lines.push(format!("  guard      {}", guard.run.join(" ")));
    }
    lines.join("\n")
}
