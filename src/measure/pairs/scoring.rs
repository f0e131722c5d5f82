//! From the launches of a pair to its one number.

use serde::{Deserialize, Serialize};

use super::{Pair, Side};
use crate::stats::block::BadBlock;
use crate::stats::{Metric, Statistic};

/// Why launches have no value that could be compared.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NoValue {
    /// A slot without launches, or with one that is no finite number.
    #[error("case {case} of the {side} has launches {launches:?}: there is no value", side = .side.name())]
    Launches {
        /// Which case, from 0.
        case: usize,
        /// Of which side.
        side: Side,
        /// The launches.
        launches: Vec<f64>,
    },
    /// The values of the cases make no `d`.
    #[error(transparent)]
    Block(#[from] BadBlock),
    /// Values that were compared as they are, because they repeat, do not.
    #[error("its values are not the same each time")]
    NotRepeated,
}

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
    /// Which value has none.
    pub fn d(&self, pair: &Pair) -> Result<f64, NoValue> {
        let (incumbent, candidate) = self.sides(pair)?;
        Ok(self.metric.d(&incumbent, &candidate)?)
    }

    /// The `d` of each case of a pair alone.
    ///
    /// # Errors
    /// As [`Scoring::d`].
    pub fn cases(&self, pair: &Pair) -> Result<Vec<f64>, NoValue> {
        let (incumbent, candidate) = self.sides(pair)?;
        Ok(self.metric.cases(&incumbent, &candidate)?)
    }

    /// What stands for the launches of a slot; `None` without any, or when one is no finite number.
    pub fn slot(&self, launches: &[f64]) -> Option<f64> {
        self.statistic.of_slot(launches)
    }

    fn sides(&self, pair: &Pair) -> Result<(Vec<f64>, Vec<f64>), NoValue> {
        Ok((self.values(pair, Side::Incumbent)?, self.values(pair, Side::Candidate)?))
    }

    fn values(&self, pair: &Pair, side: Side) -> Result<Vec<f64>, NoValue> {
        let value = |(case, pair): (usize, &super::CasePair)| {
            let launches = pair.of(side);
            let none = || NoValue::Launches { case, side, launches: launches.to_vec() };
            self.slot(launches).ok_or_else(none)
        };
        pair.cases.iter().enumerate().map(value).collect()
    }
}
