//! `optloop compare --anchor`: the best so far against the first baseline.

use std::path::{Path, PathBuf};

use crate::cli::args::{CompareArgs, Format, PipelineArgs, Which};
use crate::cli::exit::Exit;
use crate::cli::incumbents::Incumbents;
use crate::cli::lines::{self, AnchoredLine, DecisionLine};
use crate::cli::session::{self, Access, Refusal};
use crate::cli::ui::Ui;
use crate::cli::world::Located;
use crate::cli::{keep, pipeline};
use crate::digest::Digest;
use crate::pipeline::Overrides;
use crate::project::promotion::{self, Anchor, Measured};
use crate::record::incumbent::{self, Incumbent};
use crate::record::ledger::Place;

/// What is to be run.
pub(super) fn plan(args: &CompareArgs) -> Result<PipelineArgs, Refusal> {
    let file = args.pipeline.clone().unwrap_or_default();
    let located = session::located(&file)?;
    let mut tuning = args.tuning.clone();
    tuning.set.extend(rule(&args.stage));
    let (_, best) = place_and_best(args, &located)?;
    let which = Which {
        file,
        kernel: elsewhere(args, &located, &best)?,
        incumbent: Some("baseline".to_owned()),
        tuning,
        add: Vec::new(),
        only: vec![args.stage.clone()],
    };
    Ok(PipelineArgs::of(which, &[&args.stage]))
}

/// The rule of an anchor: 64 pairs, 8 from each pair of processes, whatever the first ones say
/// (decision-rule, section 5). It is always of now.
fn rule(stage: &str) -> Vec<(String, String)> {
    let rule = [
        ("cache", "false"),
        ("repeats", "[64]"),
        ("rule.pairs_per_process", "8"),
        ("rule.gross", "0"),
        ("rule.confirm", "false"),
        ("rule.upper_levels", "[0.1]"),
        ("rule.lower_levels", "[0.004]"),
    ];
    rule.map(|(key, value)| (format!("stages.{stage}.{key}"), value.to_owned())).to_vec()
}

fn place_and_best(args: &CompareArgs, located: &Located) -> Result<(Place, Incumbent), Refusal> {
    let overrides = overrides(args);
    let place = Incumbents { located, overrides: &overrides }.place(&args.stage)?;
    let found = incumbent::current(&located.root.join(".optloop"), &place);
    let found = found.map_err(|why| Refusal::Words(why.to_string(), None, Exit::Infrastructure))?;
    let best = found.ok_or_else(|| {
        let what = format!("there is no best of {} by {} yet", place.problem, place.metric);
        let hint = "the first run of the pipeline sets the baseline".to_owned();
        Refusal::Words(what, Some(hint), Exit::User)
    })?;
    Ok((place, best))
}

fn overrides(args: &CompareArgs) -> Overrides {
    Overrides { set: args.tuning.set.iter().cloned().collect(), ..Overrides::default() }
}

/// The best's own file, where the pipeline's kernel files are not the best's.
fn elsewhere(
    args: &CompareArgs,
    located: &Located,
    best: &Incumbent,
) -> Result<Option<PathBuf>, Refusal> {
    let overrides = overrides(args);
    let kernel = Incumbents { located, overrides: &overrides }.kernel().unwrap_or_default();
    let same = |path: &String| {
        let kept = best.sources.iter().find(|source| source.path == *path);
        let now = Digest::of_file(&located.root.join(path)).ok();
        now.is_some() && now == kept.map(|source| source.digest)
    };
    if kernel.len() == best.sources.len() && kernel.iter().all(same) {
        return Ok(None);
    }
    let mut files = best.sources().map(|(_, path)| path);
    if let (Some(one), None) = (files.next(), files.next()) {
        return Ok(Some(one));
    }
    let what = "the best has several files, and yours are not these".to_owned();
    let hint = "keep or revert first: then your files are the best's".to_owned();
    Err(Refusal::Words(what, Some(hint), Exit::User))
}

/// Runs it, and writes down what it said. Whether the best is better is no failure.
pub(super) fn run(args: &CompareArgs, planned: &PipelineArgs, mut ui: Ui) -> Exit {
    let exit = pipeline::run_with(planned, &mut ui);
    if !matches!(exit, Exit::Ok | Exit::Candidate | Exit::Undecided) {
        return exit;
    }
    let Some(artifact) = ui.last_artifact() else { return exit };
    match note(args, Path::new(&artifact), &ui) {
        Ok(()) => Exit::Ok,
        Err(refusal) => ui.refuse(&refusal),
    }
}

fn note(args: &CompareArgs, artifact: &Path, ui: &Ui) -> Result<(), Refusal> {
    let located = session::located(args.pipeline.as_deref().unwrap_or_default())?;
    let state = located.root.join(".optloop");
    let overrides = overrides(args);
    let place = Incumbents { located: &located, overrides: &overrides }.place(&args.stage)?;
    let _lock = session::hold(&state, Access::Wait, ui)?;
    let measured = Measured::read(&state, &state.join(artifact))
        .map_err(|why| Refusal::Words(why, None, Exit::User))?;
    let at = jiff::Timestamp::now().to_string();
    let anchor = promotion::anchor(&state, &place, &measured, at).map_err(keep::refusal)?;
    if ui.format == Format::Json {
        ui.json(&told(&anchor));
    } else {
        ui.line(&words(&anchor));
    }
    Ok(())
}

/// As a line of JSON.
fn told(anchor: &Anchor) -> lines::Line {
    lines::Line::Anchored(AnchoredLine {
        about: DecisionLine::of(&anchor.line),
        product_of_steps: anchor.product,
        falls_short: anchor.falls_short(),
    })
}

fn words(anchor: &Anchor) -> String {
    let line = &anchor.line;
    let of = format!("{} by {}", line.place.problem, line.place.metric);
    let gain = keep::gain_words(line, anchor.product.is_some());
    let mut text = format!("ANCHOR {of}: the best beside the baseline: gain {gain}");
    if let (Some((factor, lower, upper)), Some(product)) = (anchor.factor(), anchor.product) {
        let times = match (lower, upper) {
            (Some(lower), Some(upper)) if lower < upper => {
                format!("{factor:.3} x ({lower:.3} .. {upper:.3})")
            }
            _ => format!("{factor:.3} x"),
        };
        text.push_str(&format!("\n  {times}; the steps that were kept say {product:.3} x"));
    }
    if anchor.falls_short() {
        text.push_str(
            "\n  the whole interval lies below what the steps say: some of them gained less than \
             was measured; this number holds, not their product",
        );
    }
    text
}
