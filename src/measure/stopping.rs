//! When a measurement is given up. One function per criterion.

use crate::stats::{Interval, surely_above};

/// The estimate is surely above the limit: even its lower end is.
pub(super) fn too_slow(metric: &Interval, early_stop_us: Option<f64>) -> bool {
    early_stop_us.is_some_and(|limit| surely_above(metric.lower, limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lower_end_above_the_limit_stops() {
        for (lower, limit, expected) in
            [(901.0, Some(900.0), true), (900.0, Some(900.0), false), (1e9, None, false)]
        {
            let metric = Interval { value: lower + 1.0, lower, upper: lower + 2.0 };
            assert_eq!(too_slow(&metric, limit), expected, "{lower} {limit:?}");
        }
    }
}
