//! From the launches of a pair to its one number.

use serde::{Deserialize, Serialize};

use super::{Pair, Side};
use crate::stats::{Metric, Statistic};

/// How the launches of a pair become its `d`, which is above 0 where the candidate is better.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Scoring {
    /// What stands for the launches of a slot.
    pub statistic: Statistic,
    /// What the values mean, and how cases become one.
    pub metric: Metric,
}

impl Default for Scoring {
    fn default() -> Self {
        Self { statistic: Statistic::Median, metric: Metric::default() }
    }
}

impl Scoring {
    /// The `d` of a pair.
    ///
    /// # Errors
    /// Which value has none, in words.
    pub fn d(&self, pair: &Pair) -> Result<f64, String> {
        let (incumbent, candidate) = self.sides(pair)?;
        self.metric.d(&incumbent, &candidate).map_err(|e| e.to_string())
    }

    /// The `d` of each case of a pair alone.
    ///
    /// # Errors
    /// As [`Scoring::d`].
    pub fn cases(&self, pair: &Pair) -> Result<Vec<f64>, String> {
        let (incumbent, candidate) = self.sides(pair)?;
        self.metric.cases(&incumbent, &candidate).map_err(|e| e.to_string())
    }

    /// What stands for the launches of a slot; `None` without any, or when one is no finite number.
    pub fn slot(&self, launches: &[f64]) -> Option<f64> {
        self.statistic.of_slot(launches)
    }

    fn sides(&self, pair: &Pair) -> Result<(Vec<f64>, Vec<f64>), String> {
        Ok((self.values(pair, Side::Incumbent)?, self.values(pair, Side::Candidate)?))
    }

    fn values(&self, pair: &Pair, side: Side) -> Result<Vec<f64>, String> {
        let value = |(number, case): (usize, &super::CasePair)| {
            let launches = case.of(side);
            self.slot(launches).ok_or_else(|| {
                let side = side.name();
                format!("case {number} of the {side} has launches {launches:?}: there is no value")
            })
        };
        pair.cases.iter().enumerate().map(value).collect()
    }
}
