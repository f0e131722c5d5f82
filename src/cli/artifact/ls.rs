//! `optloop artifact ls`: every artifact on one line of 80 columns.

use super::account::{Account, Standing, headline, when};
use crate::cli::args::Format;
use crate::cli::columns::{WIDTH, clean, cut, wrapped};
use crate::cli::host;
use crate::cli::lines::Line;
use crate::cli::lines::kept::{ArtifactLine, ArtifactsLine, KEPT_VERSION};
use crate::cli::refusal::Refusal;
use crate::cli::ui::Ui;
use crate::project::{short_name, state_folder};
use crate::record::Artifact;

/// Lists them, those of one stage or all.
pub(super) fn list(stage: Option<&str>, ui: &Ui) -> Result<(), Refusal> {
    let state = state_folder(&host::Disk)?;
    let mut accounts = Vec::new();
    for path in Artifact::list(&state) {
        match Account::read(path) {
            Ok(account) if stage.is_none_or(|s| is_of(&account.artifact, s)) => {
                accounts.push(account);
            }
            Ok(_) => {}
            Err(message) => ui.complain(&message),
        }
    }
    for account in &accounts {
        let refused = account.analyses.as_ref().err().cloned();
        for warning in account.warnings().into_iter().chain(refused) {
            ui.complain(&format!("warning: {warning}"));
        }
    }
    if ui.format == Format::Json {
        let count = accounts.len();
        ui.json(&Line::Artifacts(ArtifactsLine { version: KEPT_VERSION, count }));
        for account in &accounts {
            ui.json(&line(account));
        }
        return Ok(());
    }
    if accounts.is_empty() {
        ui.note("there are no artifacts yet: stages that check or measure make them");
        return Ok(());
    }
    ui.text(&listing(&accounts));
    Ok(())
}

fn line(account: &Account) -> Line {
    let Account { path, artifact, analyses, .. } = account;
    let (decision, standing) = account.decision().unzip();
    Line::Artifact(Box::new(ArtifactLine {
        path: path.clone(),
        at: artifact.at.clone(),
        run: artifact.run.clone(),
        stage: artifact.stage.clone(),
        kind: artifact.kind,
        status: artifact.status,
        metrics: artifact.metrics.clone(),
        name: short_name(path),
        analyses: analyses.as_ref().map(|all| all.entries.len()).ok(),
        decision,
        stale: standing.map(|s| s == Standing::Stale),
    }))
}

/// The stage itself, or one point of its matrix.
fn is_of(artifact: &Artifact, stage: &str) -> bool {
    artifact.stage == stage
        || artifact.stage.strip_prefix(stage).is_some_and(|rest| rest.starts_with('['))
}

/// The name last: it is what other commands take, so it goes on below before it is cut.
fn listing(accounts: &[Account]) -> String {
    let header = ["when", "status", "result", "decision"].map(str::to_owned);
    let rows: Vec<([String; 4], String)> = std::iter::once((header, "artifact".to_owned()))
        .chain(accounts.iter().map(|account| (row(account), short_name(&account.path))))
        .collect();
    let widths: [usize; 4] = std::array::from_fn(|column| {
        rows.iter().map(|(cells, _)| cells[column].chars().count()).max().unwrap_or(0)
    });
    let [w, s, r, d] = widths;
    let room = WIDTH - widths.iter().map(|w| w + 1).sum::<usize>();
    let mut text = String::new();
    for ([when, status, result, decision], name) in rows {
        let line = format!("{when:<w$} {status:<s$} {result:>r$} {decision:<d$} ");
        if name.chars().count() <= room {
            text += &format!("{line}{name}\n");
            continue;
        }
        text += line.trim_end();
        text.push('\n');
        for part in wrapped(&name, WIDTH - 2) {
            text += &format!("  {part}\n");
        }
    }
    text
}

fn row(account: &Account) -> [String; 4] {
    let decision = match account.decision() {
        _ if account.analyses.is_err() => "damaged".to_owned(),
        None => String::new(),
        Some((decision, Standing::Holds)) => decision.word().to_owned(),
        Some((decision, Standing::Stale)) => format!("{}?", decision.word()),
    };
    let artifact = &account.artifact;
    let status = artifact.status.word().replace('_', " ");
    [
        cut(&when(&artifact.at), 13),
        cut(&clean(&status), 14),
        cut(&clean(&headline(artifact)), 14),
        decision,
    ]
}

#[cfg(test)]
mod tests {
    use super::super::samples::{account, analysis, artifact};
    use super::*;
    use crate::digest::Digest;
    use crate::engine::stage::FailureClass;
    use crate::record::{Analysis, Decision, Status};

    #[test]
    fn a_listing_fits_eighty_columns_whatever_the_names() {
        let long = Artifact {
            status: Status::Failed(FailureClass::Infrastructure),
            metrics: [("a very long name of a number", 1.5)].into(),
            ..artifact()
        };
        let mut all = vec![account(artifact(), vec![analysis()]), account(long, Vec::new())];
        for stage in ["s".repeat(40), "s".repeat(200)] {
            let mut named = account(artifact(), Vec::new());
            named.path = format!("runs/20261121T115908.031-4542/{stage}.json").into();
            all.push(named);
        }
        let text = listing(&all);
        let wide: Vec<&str> = text.lines().filter(|l| l.chars().count() > WIDTH).collect();
        assert_eq!(wide, Vec::<&str>::new());
        assert!(
            text.contains(&format!("  20261121T115908.031-4542/{}\n", "s".repeat(40))),
            "{text}"
        );
        assert!(
            text.lines().nth(1).is_some_and(|l| l.ends_with("REVERT   r1/candidate")),
            "{text}"
        );
    }

    #[test]
    fn the_last_decision_is_shown_and_doubted_when_the_artifact_changed() {
        let later = Analysis { decision: Decision::Keep, ..analysis() };
        let decisions = |entries| row(&account(artifact(), entries))[3].clone();
        assert_eq!(decisions(vec![analysis(), later.clone()]), "KEEP");
        let stale = Analysis { artifact: Digest::of(b"then"), ..later };
        assert_eq!(decisions(vec![analysis(), stale]), "KEEP?");
        assert_eq!(decisions(Vec::new()), "");
        let damaged = Account { analyses: Err("x".to_owned()), ..account(artifact(), Vec::new()) };
        assert_eq!(row(&damaged)[3], "damaged");
    }

    #[test]
    fn a_stage_takes_in_the_points_of_its_matrix_and_no_other_stage() {
        let named = |stage: &str| Artifact { stage: stage.to_owned(), ..artifact() };
        assert!(is_of(&named("sweep[B=1]"), "sweep") && is_of(&named("sweep"), "sweep"));
        assert!(!is_of(&named("sweeper"), "sweep"));
    }
}
