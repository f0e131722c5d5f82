//! Named numbers: what a stage answers with.

use std::collections::BTreeMap;
use std::collections::btree_map;

use serde::{Deserialize, Serialize};

/// Finite numbers by their names, in alphabetical order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Metrics(BTreeMap<String, f64>);

/// Names of our own numbers; commands name theirs in the pipeline.
impl Metrics {
    /// Geometric mean of the cases' medians, µs.
    pub const MEDIAN_US: &'static str = "median_us";
    /// Lower end of its interval, µs.
    pub const MEDIAN_LOWER_US: &'static str = "median_lower_us";
    /// Upper end, µs.
    pub const MEDIAN_UPPER_US: &'static str = "median_upper_us";
    /// Geometric mean of the cases' means, µs.
    pub const MEAN_US: &'static str = "mean_us";
    /// Geometric mean of the cases' fastest launches, µs.
    pub const MIN_US: &'static str = "min_us";
    /// Geometric mean of the cases' 90 % quantiles, µs.
    pub const P90_US: &'static str = "p90_us";
    /// Timed samples.
    pub const LAUNCHES: &'static str = "launches";
    /// Fresh processes.
    pub const PROCESSES: &'static str = "processes";
    /// As a share of the incumbent's time, or in the metric's own unit.
    pub const GAIN: &'static str = "gain";
    /// Lower end of its interval.
    pub const GAIN_LOWER: &'static str = "gain_lower";
    /// Upper end.
    pub const GAIN_UPPER: &'static str = "gain_upper";
    /// Pairs of incumbent and candidate.
    pub const PAIRS: &'static str = "pairs";
    /// How much pairs of identical code differ: standard deviation of the ratio's logarithm.
    pub const PAIR_SD: &'static str = "pair_sd";
    /// How much processes of identical code differ.
    pub const PROCESS_SD: &'static str = "process_sd";
    /// The smallest gain that is seen here, as a share.
    pub const SMALLEST_GAIN: &'static str = "smallest_gain";
    /// Cases that were checked.
    pub const CASES: &'static str = "cases";
    /// Elements that differ by more than the tolerance.
    pub const MISMATCHES: &'static str = "mismatches";
    /// The largest difference.
    pub const MAX_ERROR: &'static str = "max_error";
    /// The largest difference as a share of what was wanted.
    pub const MAX_RELATIVE_ERROR: &'static str = "max_relative_error";
    /// Size of a built kernel.
    pub const BYTES: &'static str = "bytes";
}

impl Metrics {
    /// The number of a name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// Puts a number under a name. What is not finite has no place in JSON and is left out.
    pub fn set(&mut self, name: &str, value: f64) {
        if value.is_finite() {
            self.0.insert(name.to_owned(), value);
        }
    }

    /// Each with its name, in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<N: Into<String>> FromIterator<(N, f64)> for Metrics {
    fn from_iter<I: IntoIterator<Item = (N, f64)>>(named: I) -> Self {
        let mut metrics = Self::default();
        metrics.extend(named);
        metrics
    }
}

impl<N: Into<String>> Extend<(N, f64)> for Metrics {
    fn extend<I: IntoIterator<Item = (N, f64)>>(&mut self, named: I) {
        let named = named.into_iter().map(|(name, value)| (name.into(), value));
        self.0.extend(named.filter(|(_, value)| value.is_finite()));
    }
}

impl<N: Into<String>, const COUNT: usize> From<[(N, f64); COUNT]> for Metrics {
    fn from(named: [(N, f64); COUNT]) -> Self {
        named.into_iter().collect()
    }
}

impl IntoIterator for Metrics {
    type Item = (String, f64);
    type IntoIter = btree_map::IntoIter<String, f64>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_recorded_by_name_and_what_is_not_finite_is_left_out() {
        let mut metrics = Metrics::from([(Metrics::PAIRS, 8.0), (Metrics::GAIN, f64::NAN)]);
        metrics.set(Metrics::MAX_ERROR, f64::INFINITY);
        assert_eq!(serde_json::to_string(&metrics).expect("encodes"), r#"{"pairs":8.0}"#);
        assert_eq!((metrics.get("pairs"), metrics.get("gain")), (Some(8.0), None));
    }
}
