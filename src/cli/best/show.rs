//! What the best of each place is, and how it came about.

use std::path::Path;

use crate::cli::args::Format;
use crate::cli::columns::{self, number};
use crate::cli::exit::Exit;
use crate::cli::lines::{self, BestLine, OfBest};
use crate::cli::refusal::Refusal;
use crate::cli::ui::Ui;
use crate::cli::words::{self, GainUnit};
use crate::engine::account::CaseRecord;
use crate::project::host::{self, Disk};
use crate::project::{ProjectError, promotion, shown, state_folder};
use crate::record::Artifact;
use crate::record::incumbent::{self, Incumbent};
use crate::record::ledger::{self, Ledger, Line, Place, What};

/// The best of a place, with what there is to say about it.
pub(in crate::cli) struct Best {
    place: Place,
    /// None after a reset.
    kept: Option<Incumbent>,
    /// The change that made it.
    made: Option<Line>,
    baseline: Option<Line>,
    /// Keeps and sets since the baseline.
    steps: usize,
    /// Its cases, as its artifact has them.
    cases: Vec<CaseRecord>,
    /// Why it is not in this history.
    elsewhere: Option<String>,
}

/// Shows all, or those of a problem.
pub(super) fn show(problem: Option<&str>, ui: &Ui) -> Result<(), Refusal> {
    for (at, best) in all(problem)?.iter().enumerate() {
        match ui.format {
            Format::Json => ui.json(&best.line()),
            Format::Human => {
                let gap = if at > 0 { "\n" } else { "" };
                ui.text(&format!("{gap}{}", best.words()));
            }
        }
    }
    Ok(())
}

/// Lists all, a line each.
pub(super) fn list(ui: &Ui) -> Result<(), Refusal> {
    let all = all(None)?;
    if ui.format == Format::Json {
        for best in &all {
            ui.json(&best.line());
        }
        return Ok(());
    }
    let rows: Vec<Vec<String>> = all.iter().map(Best::row).collect();
    ui.text(&columns::table(&["problem", "device", "best", "since", "by", "kernel"], &rows));
    Ok(())
}

fn all(problem: Option<&str>) -> Result<Vec<Best>, Refusal> {
    let state = state_folder(&Disk)?;
    let known = ledger::read(&state).map_err(ProjectError::Record)?;
    let mut places: Vec<Place> = known.lines.iter().map(|line| line.place.clone()).collect();
    places.retain(|place| problem.is_none_or(|problem| problem == place.problem));
    places.sort();
    places.dedup();
    if places.is_empty() {
        let what = "there is no best yet".to_owned();
        let hint = "the first passing run of a pipeline sets the baseline".to_owned();
        return Err(Refusal::Words(what, Some(hint), Exit::User));
    }
    places.into_iter().map(|place| Best::of(&state, &known, place)).collect()
}

impl Best {
    fn of(state: &Path, known: &Ledger, place: Place) -> Result<Self, Refusal> {
        let kept = incumbent::current(state, &place).map_err(ProjectError::Record)?;
        let stands = known.stands(&place);
        let last = stands.last();
        let artifact = kept.as_ref().and_then(|k| Artifact::read(&state.join(&k.artifact)).ok());
        let cases = artifact.as_ref().and_then(|a| Some(a.result.as_ref()?.bench()?.cases.clone()));
        let root = state.parent().unwrap_or(Path::new("/"));
        let elsewhere = kept.as_ref();
        let elsewhere =
            elsewhere.and_then(|kept| promotion::not_in_history(root, kept, &host::git_to_read()));
        let is_step = |line: &Line| matches!(line.event, What::Keep | What::Set);
        let begun = stands.iter().rposition(|stand| !is_step(stand.change));
        let steps = stands.len() - begun.map_or(0, |at| at + 1);
        let made = last.and_then(|stand| stand.current).cloned();
        let baseline = last.and_then(|stand| stand.baseline).cloned();
        let cases = cases.unwrap_or_default();
        Ok(Self { place, kept, made, baseline, steps, cases, elsewhere })
    }

    fn words(&self) -> String {
        let title = format!("{} on {}\n", self.place.words(), self.place.device);
        let Some(kept) = &self.kept else {
            return format!("{title}  none since a reset: the next run sets the baseline\n");
        };
        let mut rows = vec![("best".to_owned(), self.how(kept))];
        let mut row = |name: &str, value: String| rows.push((name.to_owned(), value));
        row("files", words::list(&paths(kept)));
        if let Some(build) = &kept.build {
            let defined = build.compile.defines.iter().map(|(n, v)| format!("-D{n}={v}"));
            let flags = build.compile.flags.iter().cloned().chain(defined);
            row("built", flags.collect::<Vec<_>>().join(" "));
        }
        row("numbers", self.value(kept));
        for case in &self.cases {
            row("", case_words(case));
        }
        row("commit", kept.commit.clone().unwrap_or_else(|| "none".to_owned()));
        if let Some(why) = &self.elsewhere {
            row("", format!("not in this history: {why}"));
        }
        row("lies in", shown(kept.folder()).display().to_string());
        row("artifact", kept.artifact.clone());
        if let Some(baseline) = &self.baseline {
            row(
                "baseline",
                format!(
                    "{}, {}; {} since",
                    baseline.candidate.short(),
                    age(&baseline.at),
                    match self.steps {
                        1 => "1 step".to_owned(),
                        steps => format!("{steps} steps"),
                    }
                ),
            );
        }
        title + &columns::pairs(&rows)
    }

    /// Which kernel, since when, and how it became the best.
    fn how(&self, kept: &Incumbent) -> String {
        let made = self.made.as_ref().map_or("?", |line| line.event.word());
        let gain = match self.made.as_ref().filter(|line| line.event == What::Keep) {
            Some(line) if line.gain.is_some() => {
                format!(", gain {}", words::gain(line, self.unit()))
            }
            _ => String::new(),
        };
        let summary = self.made.as_ref().map(|line| line.summary.as_str()).unwrap_or_default();
        let said = if summary.is_empty() { String::new() } else { format!(": {summary}") };
        format!("{}, {made} {}{gain}{said}", kept.digest.short(), age(&kept.at))
    }

    /// A gain beyond what a ratio can be is one in the metric's own unit.
    fn unit(&self) -> GainUnit {
        match self.made.as_ref().and_then(|line| line.gain) {
            Some(gain) if gain >= 1.0 => GainUnit::Metric,
            _ => GainUnit::Percent,
        }
    }

    fn value(&self, kept: &Incumbent) -> String {
        let metric = &self.place.metric;
        match kept.metrics.get(metric) {
            Some(us) if metric.ends_with("_us") => format!("{metric} {}", words::duration_us(us)),
            Some(value) => format!("{metric} {}", number(value)),
            None => format!("{metric} unknown"),
        }
    }

    fn row(&self) -> Vec<String> {
        let made = self.made.as_ref();
        let how = made.map_or("reset", |line| line.event.word()).to_owned();
        let (value, since, kernel) = match &self.kept {
            Some(kept) => (self.value(kept), age(&kept.at), kept.digest.short()),
            None => ("none".to_owned(), String::new(), String::new()),
        };
        vec![self.place.problem.clone(), self.place.device.clone(), value, since, how, kernel]
    }

    /// As a line of JSON.
    fn line(&self) -> lines::Line {
        let kept = self.kept.as_ref();
        let number = |line: &Option<Line>| line.as_ref().map(|line| line.seq);
        lines::Line::Best(Box::new(BestLine {
            about: OfBest::at(&self.place, kept.map(|kept| kept.digest.hex())),
            at: kept.map(|kept| kept.at.clone()),
            how: self.made.as_ref().map(|line| line.event.word().to_owned()),
            gain: self.made.as_ref().and_then(|line| line.gain),
            files: kept.map(paths).unwrap_or_default(),
            metrics: kept.map(|kept| kept.metrics.clone()).unwrap_or_default(),
            cases: self.cases.clone(),
            commit: kept.and_then(|kept| kept.commit.clone()),
            not_in_history: self.elsewhere.clone(),
            incumbent: kept.map(|kept| kept.folder().to_string_lossy().into_owned()),
            artifact: kept.map(|kept| kept.artifact.clone()),
            steps: self.steps,
            line: number(&self.made),
            baseline: number(&self.baseline),
        }))
    }
}

fn paths(kept: &Incumbent) -> Vec<String> {
    kept.files().map(|(source, _)| source.path.clone()).collect()
}

fn age(at: &str) -> String {
    let ms = at.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_millisecond);
    ms.map_or_else(|_| at.to_owned(), words::age)
}

fn case_words(case: &CaseRecord) -> String {
    let time = |us: Option<f64>| us.map(words::duration_us);
    let interval = time(case.lower_us).zip(time(case.upper_us));
    let interval = interval.map(|(lower, upper)| format!(" ({lower} .. {upper})"));
    let median = time(case.median_us).unwrap_or_default();
    format!("{}: {median}{}", case.label, interval.unwrap_or_default())
}
