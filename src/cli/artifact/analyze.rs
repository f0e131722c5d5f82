//! `optloop artifact analyze`: what was decided about an artifact, written beside it.

use super::account::{Account, find};
use crate::cli::args::{AnalyzeArgs, Format};
use crate::cli::exit::Exit;
use crate::cli::lines::Line;
use crate::cli::lines::kept::AnalysisLine;
use crate::cli::refusal::Refusal;
use crate::cli::ui::Ui;
use crate::project::short_name;
use crate::record::RecordError;
use crate::record::analysis::{self, ANALYSIS_VERSION, Analysis};

/// Appends one analysis.
pub(super) fn analyze(args: &AnalyzeArgs, ui: &Ui) -> Result<(), Refusal> {
    let user = |message| Refusal::Words(message, None, Exit::User);
    let account = Account::read(find(&args.artifact)?).map_err(user)?;
    // What is damaged is refused before anything is written.
    account.analyses.as_ref().map_err(|why| user(why.clone()))?;
    let analysis = Analysis {
        version: ANALYSIS_VERSION,
        at: jiff::Timestamp::now().to_string(),
        artifact: account.digest,
        decision: args.decision,
        summary: args.said.summary.clone(),
        feedback: args.said.feedback.clone(),
        next_step: args.said.next_step.clone().unwrap_or_default(),
        by: args.by.clone().unwrap_or_default(),
    };
    let failed = |error: RecordError| Refusal::Words(error.to_string(), None, Exit::Infrastructure);
    if let Some(warning) = analysis::append(&account.path, &analysis).map_err(failed)? {
        ui.complain(&format!("warning: {warning}"));
    }
    if ui.format == Format::Json {
        ui.json(&Line::Analysis(AnalysisLine { stale: false, analysis }));
        return Ok(());
    }
    let name = short_name(&account.path);
    let place = analysis::path_of(&account.path);
    let place = crate::project::shown(&place).display().to_string();
    ui.line(&format!("{} {name}\n  in {place}", analysis.decision.word()));
    Ok(())
}
