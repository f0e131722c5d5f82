//! How a campaign is doing, whether a process drives it or not.

use super::which::{chosen, history, shown};
use super::words;
use crate::campaign::history::History;
use crate::campaign::report::{number, percent};
use crate::campaign::standing::{Budget, Phase, Resource, Standing};
use crate::campaign::store::{Driven, Stored};
use crate::campaign::tail;
use crate::cli::args::{Format, WhichCampaign};
use crate::cli::exit::Exit;
use crate::cli::lines::Line;
use crate::cli::lines::campaign::CampaignStatusLine;
use crate::cli::refusal::Refusal;
use crate::cli::ui::Ui;
use crate::cli::words::duration_us;

/// Says it.
pub(super) fn status(which: &WhichCampaign, ui: &Ui) -> Result<Exit, Refusal> {
    let stored = chosen(which)?;
    let history = history(&stored)?;
    let driver = match stored.drive() {
        Ok(Driven::Elsewhere(holder)) => Some(holder),
        Ok(Driven::Here(_)) | Err(_) => None,
    };
    let standing = Standing::of(&history);
    let log = tail::log_of(&stored.folder, standing.iteration);
    let agent = (standing.phase == Phase::Agent).then(|| tail::last_line(&log)).flatten();
    if ui.format == Format::Json {
        ui.json(&Line::CampaignStatus(Box::new(CampaignStatusLine {
            standing,
            driver,
            agent,
            folder: stored.folder.to_string_lossy().into_owned(),
        })));
        return Ok(Exit::Ok);
    }
    let now = jiff::Timestamp::now();
    ui.line(&format!("{}  {}", stored.id, at(&standing, now)));
    let runs = Running { stored: &stored, driver, agent };
    for line in runs.lines(&standing) {
        ui.line(&line);
    }
    for line in stands(&standing, &history) {
        ui.line(&line);
    }
    ui.line(&format!("  folder     {}", shown(&stored.folder).display()));
    Ok(Exit::Ok)
}

/// What it is at, and for how long.
fn at(standing: &Standing, now: jiff::Timestamp) -> String {
    let phase = standing.phase.words();
    let since = standing.since.parse::<jiff::Timestamp>();
    match (standing.phase, since) {
        (Phase::Ended, _) | (_, Err(_)) => phase.to_owned(),
        (_, Ok(since)) => {
            let took = now.duration_since(since).as_micros().max(0) as f64;
            let iteration = match standing.phase {
                Phase::Baseline => String::new(),
                _ => format!("iteration {}, ", standing.iteration),
            };
            format!("{iteration}{phase} for {}", duration_us(took))
        }
    }
}

/// What matters of a campaign that has not ended.
struct Running<'a> {
    stored: &'a Stored,
    driver: Option<String>,
    /// The last thing that the agent printed.
    agent: Option<String>,
}

impl Running<'_> {
    fn lines(&self, standing: &Standing) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(blocker) = &standing.blocker {
            lines.push(format!("  blocker    {}", blocker.replace('\n', "\n             ")));
        }
        if standing.phase == Phase::Ended {
            return lines;
        }
        let driver = self.driver.clone().unwrap_or_else(|| {
            format!("nothing now: `optloop loop resume {}` goes on", self.stored.id)
        });
        lines.push(format!("  driven by  {driver}"));
        lines.extend(self.agent.as_ref().map(|agent| format!("  agent      {agent}")));
        let ends: Vec<String> = ends(standing);
        if !ends.is_empty() {
            lines.push(format!("  ends at    {}", ends.join(", ")));
        }
        lines
    }
}

/// The rules that end it, and how far off they are.
fn ends(standing: &Standing) -> Vec<String> {
    let target = standing.target.map(|target| match standing.to_target {
        Some(0.0) => format!("target {target}, once it is confirmed"),
        Some(missing) => format!("target {target} ({} away)", number(missing)),
        None => format!("target {target}"),
    });
    let budget = |budget: &Budget| {
        let (most, left) = (budget.most?, budget.left?);
        let most = if budget.what == Resource::Failures { most + 1.0 } else { most };
        let left = if budget.what == Resource::Failures { left + 1.0 } else { left };
        Some(format!("{} {} ({} left)", number(most), budget.what.words(), number(left)))
    };
    target.into_iter().chain(standing.budgets.iter().filter_map(budget)).collect()
}

fn stands(standing: &Standing, history: &History) -> Vec<String> {
    let mut lines = vec![words::summary(history)];
    if !standing.trend.is_empty() {
        let gains: Vec<String> = standing.trend.iter().map(|gain| percent(*gain)).collect();
        lines.push(format!("  last gains {}", gains.join(", ")));
    }
    lines.extend(standing.stretch.map(|stretch| format!("  stretch    {stretch}")));
    for directive in &standing.directives {
        lines.push(format!("  directive  {}", directive.replace('\n', "\n             ")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running() -> Standing {
        let budget = |what, used: f64, most: f64| Budget {
            what,
            used,
            most: Some(most),
            left: Some(most - used),
        };
        let mut standing = Standing::of(&History::default());
        standing.iteration = 6;
        standing.phase = Phase::Judging;
        standing.since = "2026-11-30T20:00:00Z".to_owned();
        standing.target = Some(5.0);
        standing.to_target = Some(0.4);
        standing.budgets = vec![
            budget(Resource::Iterations, 6.0, 20.0),
            Budget { what: Resource::Hours, used: 1.0, most: None, left: None },
            budget(Resource::Failures, 1.0, 3.0),
        ];
        standing
    }

    #[test]
    fn what_it_is_at_says_for_how_long() {
        let now = "2026-11-30T20:02:05Z".parse().expect("a time");
        let text = at(&running(), now);
        assert!(text.starts_with("iteration 6, judging for "), "{text}");
        let ended = Standing { phase: Phase::Ended, ..running() };
        assert_eq!(at(&ended, now), "ended");
    }

    #[test]
    fn what_ends_it_says_how_far_off_that_is() {
        let wanted = ["target 5 (0.4000 away)", "20 iterations (14 left)", "4 failures (3 left)"];
        assert_eq!(ends(&running()), wanted);
        let sure = Standing { to_target: Some(0.0), ..running() };
        assert_eq!(ends(&sure)[0], "target 5, once it is confirmed");
    }
}
