//! How long a kernel may run: a stage's time limit, of which its launches are taken off.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The time that all launches of a stage's kernel may take together, in whatever process.
///
/// Nothing else is taken off it: drawing, staging, poisoning and comparing take the judge's own time,
/// and mapping what was staged takes the system's. Clones share what is left.
#[derive(Debug, Clone, Default)]
pub struct Allowance {
    whole: Option<Duration>,
    spent_ns: Arc<AtomicU64>,
}

impl Allowance {
    /// So much; `None` is without end.
    pub fn new(whole: Option<Duration>) -> Self {
        Self { whole, spent_ns: Arc::default() }
    }

    /// All of it, whatever was spent.
    pub fn whole(&self) -> Option<Duration> {
        self.whole
    }

    /// What is left.
    pub fn left(&self) -> Option<Duration> {
        let spent = Duration::from_nanos(self.spent_ns.load(Relaxed));
        Some(self.whole?.saturating_sub(spent))
    }

    /// Takes off what a launch took.
    pub fn spend(&self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        // A sum that does not fit is more than anybody waits for.
        self.spent_ns.fetch_add(ns, Relaxed);
    }

    /// One of its own: what is left of this, and no more than `most`.
    #[must_use]
    pub fn capped(&self, most: Duration) -> Self {
        Self::new(Some(self.left().map_or(most, |left| left.min(most))))
    }
}

/// Whose time a launch is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// The problem's reference.
    Reference,
    /// The incumbent.
    Incumbent,
}

impl Model {
    /// The word for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Incumbent => "incumbent",
        }
    }
}

/// How long one launch may take, by how long another kernel takes for the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaunchLimit {
    /// The other kernel.
    pub model: Model,
    /// How long a launch of it takes.
    pub takes: Duration,
    /// So many times as long is let pass,
    pub times: u32,
    /// and this longer.
    pub more: Duration,
}

impl LaunchLimit {
    /// For so many launches in a row.
    pub fn of(&self, count: u32) -> Duration {
        self.more.saturating_add(self.takes.saturating_mul(self.times).saturating_mul(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_spent_is_taken_off_and_clones_share_it() {
        let ms = Duration::from_millis;
        let allowance = Allowance::new(Some(ms(100)));
        let other = allowance.clone();
        other.spend(ms(30));
        assert_eq!((allowance.left(), allowance.whole()), (Some(ms(70)), Some(ms(100))));
        assert_eq!(allowance.capped(ms(10)).left(), Some(ms(10)));
        assert_eq!(allowance.capped(ms(200)).left(), Some(ms(70)));
        other.spend(ms(1000));
        assert_eq!(allowance.left(), Some(Duration::ZERO));
        let endless = Allowance::default();
        endless.spend(ms(5));
        assert_eq!((endless.left(), endless.capped(ms(1)).left()), (None, Some(ms(1))));
    }

    #[test]
    fn a_limit_grows_with_the_launches_in_a_row() {
        let (takes, more) = (Duration::from_micros(3), Duration::from_secs(2));
        let limit = LaunchLimit { model: Model::Reference, takes, times: 1000, more };
        assert_eq!(limit.of(1), Duration::from_millis(2003));
        assert_eq!(limit.of(100), Duration::from_millis(2300));
    }
}
