//! Whether the numbers of a rule make sense together.

use super::super::signed_rank::MAX;
use super::Rule;

/// A number of a rule that makes no sense.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BadRule {
    /// Looks are numbers of pairs, rising.
    #[error("looks are {0:?}: write rising numbers from 1 to {MAX}")]
    Looks(Vec<u32>),
    /// Each look has a level.
    #[error("{name} has {levels} levels for {looks} looks: write one for each")]
    Levels {
        /// Which levels, as the rule calls them.
        name: &'static str,
        /// How many there are.
        levels: usize,
        /// How many there must be.
        looks: usize,
    },
    /// A level is the probability of an error.
    #[error("{name} has {level}: write levels from 0 to 0.5")]
    Level {
        /// Which levels, as the rule calls them.
        name: &'static str,
        /// The one that is none.
        level: f64,
    },
    /// A number that cannot be negative.
    #[error("{name} is {value}: write a number from 0 up")]
    Negative {
        /// The number's name in the rule.
        name: &'static str,
        /// What it is.
        value: f64,
    },
    /// The exact distribution ends somewhere.
    #[error("confirm asks for {fewest} to {most} pairs: write 1 to {MAX}")]
    Confirmation {
        /// Pairs after the first look.
        fewest: u32,
        /// Pairs after the last look.
        most: u32,
    },
}

impl Rule {
    /// Whether the numbers of the rule make sense together.
    ///
    /// # Errors
    /// The first one that does not.
    pub fn validate(&self) -> Result<(), BadRule> {
        self.validate_looks()?;
        self.validate_levels("lower_levels", &self.lower_levels)?;
        self.validate_levels("upper_levels", &self.upper_levels)?;
        not_negative("minimum_effect", self.minimum_effect)?;
        not_negative("gross", self.gross)?;
        let Some(confirm) = &self.confirm else { return Ok(()) };
        not_negative("confirm.fraction", confirm.fraction)?;
        not_negative("confirm.threshold", confirm.threshold)?;
        let most = self.looks.last().map_or(0, |&n| confirm.pairs(n));
        if confirm.fewest == 0 || most as usize > MAX {
            return Err(BadRule::Confirmation { fewest: confirm.fewest, most });
        }
        Ok(())
    }

    fn validate_looks(&self) -> Result<(), BadRule> {
        let rising = self.looks.windows(2).all(|pair| pair[0] < pair[1]);
        let within = self.looks.iter().all(|&n| (1..=MAX).contains(&(n as usize)));
        if self.looks.is_empty() || !rising || !within {
            return Err(BadRule::Looks(self.looks.clone()));
        }
        Ok(())
    }

    fn validate_levels(&self, name: &'static str, levels: &[f64]) -> Result<(), BadRule> {
        if levels.len() != self.looks.len() {
            return Err(BadRule::Levels { name, levels: levels.len(), looks: self.looks.len() });
        }
        match levels.iter().find(|level| !(0.0..=0.5).contains(*level)) {
            Some(&level) => Err(BadRule::Level { name, level }),
            None => Ok(()),
        }
    }
}

fn not_negative(name: &'static str, value: f64) -> Result<(), BadRule> {
    if value.is_finite() && value >= 0.0 { Ok(()) } else { Err(BadRule::Negative { name, value }) }
}
