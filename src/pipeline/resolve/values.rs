//! Single values: durations, looks, the numbers of a rule, what to compare with.

use crate::diagnostic::Spanned;
use crate::pipeline::findings::Findings;
use crate::pipeline::rule::RuleFile;
use crate::pipeline::{Incumbent, RuleWork, duration};

impl Findings {
    /// Milliseconds of a duration; `otherwise` when it is not given or wrong.
    pub(super) fn duration(
        &mut self,
        key: &str,
        text: Option<&Spanned<String>>,
        otherwise: u64,
    ) -> u64 {
        let Some(text) = text else { return otherwise };
        match duration::parse(text) {
            Ok(ms) => ms,
            Err(error) => {
                let message = format!("bad duration `{}` for `{key}`", text.value);
                self.at("bad-duration", message, &text.span, error.to_string())
                    .help("a duration is a number and a unit: 500ms, 60s, 2m, 1h");
                otherwise
            }
        }
    }

    /// Like [`Self::duration`], where `none` is no limit and zero is refused.
    pub(super) fn timeout(&mut self, text: Option<&Spanned<String>>, otherwise: u64) -> u64 {
        match text {
            Some(text) if text.value == "none" => 0,
            Some(text) => {
                let ms = self.duration("timeout", Some(text), otherwise);
                if ms == 0 && duration::parse(text) == Ok(0) {
                    self.at(
                        "bad-duration",
                        "`timeout` must not be zero",
                        &text.span,
                        "no time at all",
                    )
                    .help("for no limit, write timeout = \"none\"");
                }
                ms
            }
            None => otherwise,
        }
    }

    /// Looks must rise, and start above zero.
    pub(super) fn repeats(&mut self, looks: &[Spanned<u32>], span: &std::ops::Range<usize>) {
        if looks.is_empty() {
            self.at("empty", "`repeats` must not be empty", span, "an empty list");
        }
        let mut before = 0;
        for look in looks {
            if look.value == 0 {
                let message = "`repeats` must be above zero";
                self.at("bad-repeats", message, &look.span, "no launch at all");
                return;
            }
            if look.value <= before {
                let label = format!("not above {before}");
                self.at("bad-repeats", "`repeats` must rise", &look.span, label)
                    .help("each number is the total of launches at that look: [8, 16, 32]");
                return;
            }
            before = look.value;
        }
    }
}

impl Findings {
    /// `none`, `best`, `baseline`, `file:PATH` or `git:REV`.
    pub(super) fn incumbent(&mut self, written: &Spanned<String>) -> Incumbent {
        let text = written.value.as_str();
        let given = |rest: &str| (!rest.is_empty()).then(|| rest.to_owned());
        let read = match text.split_once(':') {
            None if text == "none" => Some(Incumbent::None),
            None if text == "best" => Some(Incumbent::Best),
            None if text == "baseline" => Some(Incumbent::Baseline),
            Some(("file", path)) => given(path).map(Incumbent::File),
            Some(("git", revision)) => given(revision).map(Incumbent::Git),
            _ => None,
        };
        read.unwrap_or_else(|| {
            let message = format!("`{text}` is no incumbent");
            self.at("bad-incumbent", message, &written.span, "to compare with").help(
                "write \"best\", \"baseline\", \"none\", \"file:PATH\" or \"git:REVISION\", such \
                 as \"git:HEAD~1\"",
            );
            Incumbent::None
        })
    }

    /// The numbers of the decision for this many looks.
    pub(super) fn rule(&mut self, file: Option<&RuleFile>, looks: usize) -> RuleWork {
        let mut work = RuleWork::default();
        let Some(file) = file else { return work };
        let share = |value: &f64| (0.0..1.0).contains(value);
        work.min_effect = file.min_effect.as_ref().map(|v| v.value);
        self.bounded("min_effect", file.min_effect.as_ref(), share, "from 0 up to 1, not 1");
        let factor = |v: &f64| *v == 0.0 || (*v > 1.0 && v.is_finite());
        self.bounded("gross", file.gross.as_ref(), factor, "0, or a factor above 1 such as 1.25");
        let positive = |v: &f64| *v >= 0.0 && v.is_finite();
        let wanted = "0 or more";
        self.bounded("confirm_fraction", file.confirm_fraction.as_ref(), positive, wanted);
        self.bounded("confirm_threshold", file.confirm_threshold.as_ref(), positive, wanted);
        self.bounded("timed", file.timed.as_ref(), |n| *n > 0, "1 or more");
        self.bounded("pairs_per_process", file.pairs_per_process.as_ref(), |n| *n > 0, "1 or more");
        for (key, levels) in
            [("lower_levels", &file.lower_levels), ("upper_levels", &file.upper_levels)]
        {
            let right = |all: &Vec<f64>| {
                all.len() == looks && all.iter().all(|level| (0.0..=0.5).contains(level))
            };
            let wanted = format!("{looks} levels from 0 to 0.5, one for each look of `repeats`");
            self.bounded(key, levels.as_ref(), right, &wanted);
        }
        let weights = |all: &Vec<f64>| {
            all.iter().all(|w| *w >= 0.0 && w.is_finite()) && all.iter().sum::<f64>() > 0.0
        };
        self.bounded("weights", file.weights.as_ref(), weights, "numbers of 0 or more, not all 0");
        work.gross = file.gross.as_ref().map_or(work.gross, |v| v.value);
        work.lower_levels = file.lower_levels.as_ref().map(|v| v.value.clone()).unwrap_or_default();
        work.upper_levels = file.upper_levels.as_ref().map(|v| v.value.clone()).unwrap_or_default();
        work.confirm = file.confirm.as_ref().is_none_or(|v| v.value);
        let or = |v: Option<&Spanned<f64>>, usual: f64| v.map_or(usual, |v| v.value);
        work.confirm_fraction = or(file.confirm_fraction.as_ref(), work.confirm_fraction);
        work.confirm_threshold = or(file.confirm_threshold.as_ref(), work.confirm_threshold);
        let count = |v: Option<&Spanned<u32>>, usual: u32| v.map_or(usual, |v| v.value);
        work.confirm_fewest = count(file.confirm_fewest.as_ref(), work.confirm_fewest);
        work.discard = count(file.discard.as_ref(), work.discard);
        work.timed = count(file.timed.as_ref(), work.timed);
        work.pairs_per_process = file.pairs_per_process.as_ref().map(|v| v.value);
        work.guard = file.guard.as_ref().map_or(work.guard, |v| v.value);
        work.weights = file.weights.as_ref().map(|v| v.value.clone()).unwrap_or_default();
        work.budget_ms = self.duration("budget", file.budget.as_ref(), work.budget_ms);
        work
    }

    fn bounded<T>(
        &mut self,
        key: &str,
        value: Option<&Spanned<T>>,
        right: impl Fn(&T) -> bool,
        wanted: &str,
    ) {
        if let Some(value) = value.filter(|value| !right(&value.value)) {
            let message = format!("`{key}` is out of range");
            self.at("out-of-range", message, &value.span, "not this")
                .help(format!("write {wanted}"));
        }
    }
}
