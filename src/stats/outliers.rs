//! Naming the values that stand apart. Nothing is removed: what is named stays in every estimate.

use serde::{Deserialize, Serialize};

use super::summary::{quantile, sorted};

/// The fewest values with quartiles worth the name.
const FEWEST: usize = 4;
/// Quartiles closer than this count as this far apart, relatively. A clock may step by 0.2 % of a
/// launch before launches are timed in loops, and where most values share one step, every other
/// step would be an outlier.
const CLOSEST_QUARTILES: f64 = 0.002;

/// The values outside Tukey's fences.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Outliers {
    /// In the order of the samples.
    pub values: Vec<Outlier>,
}

/// One value that stands apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Outlier {
    /// Its position in the samples.
    pub index: usize,
    /// The value.
    pub value: f64,
    /// How far out it is.
    pub severity: Severity,
    /// On which side.
    pub side: Side,
}

/// How far outside a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// More than 1.5 interquartile ranges from the nearer quartile.
    Mild,
    /// More than 3.
    Severe,
}

/// On which side a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// A time above the others.
    Slow,
    /// A time below the others.
    Fast,
}

impl Outliers {
    /// How many are mild.
    pub fn mild(&self) -> usize {
        self.count(|outlier| outlier.severity == Severity::Mild)
    }

    /// How many are severe.
    pub fn severe(&self) -> usize {
        self.count(|outlier| outlier.severity == Severity::Severe)
    }

    /// How many are slow, mild or severe.
    pub fn slow(&self) -> usize {
        self.count(|outlier| outlier.side == Side::Slow)
    }

    fn count(&self, which: impl Fn(&Outlier) -> bool) -> usize {
        self.values.iter().filter(|outlier| which(outlier)).count()
    }
}

/// Finds outliers by Tukey's inner and outer fences (Tukey 1977, *Exploratory Data Analysis*,
/// section 2D) on logarithms, since times are skewed and noise multiplies. Fewer than four values
/// have none. `None` when empty or when a value is not finite and above 0.
pub fn outliers(samples: &[f64]) -> Option<Outliers> {
    let ordered = sorted(samples)?;
    if ordered[0] <= 0.0 {
        return None;
    }
    if ordered.len() < FEWEST {
        return Some(Outliers::default());
    }
    let logs: Vec<f64> = ordered.iter().map(|x| x.ln()).collect();
    let (low, high) = (quantile(&logs, 0.25), quantile(&logs, 0.75));
    let range = (high - low).max(CLOSEST_QUARTILES);
    let judged = samples.iter().enumerate().filter_map(|(index, &value)| {
        let log = value.ln();
        let (outside, side) =
            if log > high { (log - high, Side::Slow) } else { (low - log, Side::Fast) };
        let severity = severity(outside / range)?;
        Some(Outlier { index, value, severity, side })
    });
    Some(Outliers { values: judged.collect() })
}

fn severity(ranges: f64) -> Option<Severity> {
    match ranges {
        r if r > 3.0 => Some(Severity::Severe),
        r if r > 1.5 => Some(Severity::Mild),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_lies_outside_the_fences_is_named_with_its_place() {
        // Quartiles of the logarithms about 0.02 apart: fences near 3 % and 6 % beyond them.
        let mut times: Vec<f64> = (0..20).map(|i| 100.0 + 0.2 * f64::from(i)).collect();
        times[3] = 108.0;
        times[7] = 190.0;
        times[9] = 80.0;
        let found = outliers(&times).unwrap();
        let told: Vec<_> =
            found.values.iter().map(|o| (o.index, o.value, o.severity, o.side)).collect();
        assert_eq!(
            told,
            [
                (3, 108.0, Severity::Mild, Side::Slow),
                (7, 190.0, Severity::Severe, Side::Slow),
                (9, 80.0, Severity::Severe, Side::Fast),
            ]
        );
        assert_eq!((found.mild(), found.severe(), found.slow()), (1, 2, 2));
    }

    #[test]
    fn steps_of_the_clock_are_no_outliers() {
        let mut times = [10_000.0; 16];
        times[5] = 10_020.0;
        assert_eq!(outliers(&times).unwrap().values, []);
        times[5] = 10_100.0;
        assert_eq!(outliers(&times).unwrap().severe(), 1);
    }

    #[test]
    fn few_values_have_no_outliers_and_bad_ones_no_answer() {
        assert_eq!(outliers(&[1.0, 1.0, 100.0]), Some(Outliers::default()));
        for samples in [&[][..], &[1.0, f64::NAN], &[f64::INFINITY], &[0.0, 1.0], &[-1.0]] {
            assert_eq!(outliers(samples), None);
        }
    }

    proptest! {
        #[test]
        fn the_unit_does_not_matter(
            xs in prop::collection::vec(50.0..150.0_f64, 4..60), power in -20..20_i32,
        ) {
            // A power of two, so that no rounding moves a value over a fence.
            let unit = f64::from(power).exp2();
            let places = |found: Outliers| found.values.iter().map(|o| o.index).collect::<Vec<_>>();
            let scaled: Vec<f64> = xs.iter().map(|x| x * unit).collect();
            let (a, b) = (outliers(&xs).unwrap(), outliers(&scaled).unwrap());
            // The logarithms round differently: a value exactly on a fence may change sides.
            prop_assert!(places(a).len().abs_diff(places(b).len()) <= 1);
        }

        #[test]
        fn at_least_half_of_the_values_are_none(xs in prop::collection::vec(1e-3..1e6_f64, 4..60)) {
            prop_assert!(outliers(&xs).unwrap().values.len() <= xs.len() / 2);
        }
    }
}
