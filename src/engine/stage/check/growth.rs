//! Rounding errors against the size of the problem.

use super::super::judge::{Drawn, outputs};
use super::super::{Failure, FailureClass};
use super::values::{epsilon, values};
use crate::engine::account::GrowthRecord;
use crate::stats::growth::{Squares, exponent};

/// An exponent is estimated from few cases: so much above the allowed one is not held against it.
const SLACK: f64 = 0.15;

/// Errors below so many units in the last place are as good as none.
const HARMLESS_ULPS: f64 = 4.0;

/// How far one output was from what was wanted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Error {
    name: String,
    /// Root mean square of the differences over that of the wanted values, at least a sixteenth of
    /// `epsilon`: an error of 0 has no logarithm.
    relative: f64,
    /// Of the element type.
    epsilon: f64,
}

/// The errors of the floating-point outputs of a launch, computed in f64.
pub(super) fn errors(drawn: &Drawn, got: &[Vec<u8>]) -> Vec<Error> {
    let pairs = outputs(&drawn.staged).zip(drawn.want.iter().zip(got));
    pairs
        .filter_map(|(output, (want, got))| {
            let epsilon = epsilon(output.dtype)?;
            let (mut difference, mut wanted) = (Squares::default(), Squares::default());
            for (want, got) in values(want, output.dtype).zip(values(got, output.dtype)) {
                wanted.add(want);
                // Infinities of one sign agree, and their difference is NaN.
                let same = got.total_cmp(&want).is_eq();
                difference.add(if same { 0.0 } else { got - want });
            }
            let relative = difference.root_mean() / wanted.root_mean().max(f64::MIN_POSITIVE);
            let relative = if relative.is_finite() { relative.max(epsilon / 16.0) } else { 1.0 };
            Some(Error { name: output.name.to_owned(), relative, epsilon })
        })
        .collect()
}

/// How the error of one output grows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Growth {
    output: String,
    /// The power of the size that fits best; none when the sizes do not tell.
    exponent: Option<f64>,
    /// The largest relative error.
    largest: f64,
    epsilon: f64,
}

impl Growth {
    pub(super) fn record(&self) -> GrowthRecord {
        let Self { output, exponent, largest, .. } = self.clone();
        GrowthRecord { output, exponent, largest }
    }
}

/// Fits a power law to each output's errors; `cases` are sizes with what was seen at them.
pub(super) fn fit(cases: &[(u64, &[Error])]) -> Vec<Growth> {
    let Some((_, outputs)) = cases.first() else {
        return Vec::new();
    };
    let of = |(index, output): (usize, &Error)| {
        let points: Vec<(f64, f64)> = cases
            .iter()
            .filter_map(|(size, errors)| Some((*size as f64, errors.get(index)?.relative)))
            .collect();
        Growth {
            output: output.name.clone(),
            exponent: exponent(&points, 3),
            largest: points.iter().map(|p| p.1).fold(0.0, f64::max),
            epsilon: output.epsilon,
        }
    };
    outputs.iter().enumerate().map(of).collect()
}

/// A failure when an output's error grows faster than `allowed`.
pub(super) fn verdict(grown: &[Growth], allowed: f64) -> Option<Failure> {
    let too_fast = |growth: &&Growth| {
        growth.exponent.is_some_and(|found| found > allowed + SLACK)
            && growth.largest > HARMLESS_ULPS * growth.epsilon
    };
    let reports: Vec<String> = grown
        .iter()
        .filter(too_fast)
        .map(|growth| {
            let exponent = growth.exponent.unwrap_or_default();
            format!(
                "{}: the error grows like size^{exponent:.2}; {allowed} is allowed (largest \
                 relative error {:.3e}): sum in a wider type, in pairs or in blocks",
                growth.output, growth.largest
            )
        })
        .collect();
    (!reports.is_empty())
        .then(|| Failure { class: FailureClass::Wrong, message: reports.join("\n") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(relative: f64) -> Vec<Error> {
        vec![Error { name: "y".into(), relative, epsilon: 1e-7 }]
    }

    fn judged(relative: [f64; 3], allowed: f64) -> Option<Failure> {
        let errors = relative.map(error);
        let sizes = [100, 10_000, 1_000_000];
        let cases: Vec<(u64, &[Error])> =
            sizes.into_iter().zip(errors.iter().map(Vec::as_slice)).collect();
        verdict(&fit(&cases), allowed)
    }

    #[test]
    fn errors_that_grow_faster_than_allowed_are_wrong() {
        for (relative, allowed, words) in [
            ([1e-6, 1e-4, 1e-2], 0.6, Some("grows like size^1.00; 0.6 is allowed")),
            ([1e-6, 1e-5, 1e-4], 0.6, None),
            // Within the slack.
            ([1e-6, 1e-5, 1e-4], 0.4, None),
            ([1e-6, 1e-5, 1e-4], 0.3, Some("size^0.50; 0.3 is allowed")),
            // Straight growth, and still only the last bits.
            ([1e-11, 1e-9, 1e-7], 0.6, None),
        ] {
            let failure = judged(relative, allowed);
            assert_eq!(failure.is_some(), words.is_some(), "{relative:?} {allowed}");
            if let (Some(failure), Some(words)) = (failure, words) {
                assert!(failure.message.contains(words), "{}", failure.message);
            }
        }
    }
}
