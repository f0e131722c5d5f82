//! How fast an error grows with the size of a problem: the exponent of a power law.

/// The exponent `b` of `y = a x^b` that fits the points best in the sense of least squares over the
/// logarithms (Press et al., Numerical Recipes, 3rd ed., section 15.2, with x and y replaced by
/// their logarithms). `None` with fewer than `least` different x, or when a coordinate is not
/// positive and finite.
pub fn exponent(points: &[(f64, f64)], least: usize) -> Option<f64> {
    let positive = |v: f64| v > 0.0 && v.is_finite();
    if !points.iter().all(|&(x, y)| positive(x) && positive(y)) {
        return None;
    }
    let logs: Vec<(f64, f64)> = points.iter().map(|&(x, y)| (x.ln(), y.ln())).collect();
    let mut sizes: Vec<f64> = logs.iter().map(|p| p.0).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.dedup();
    if sizes.len() < least.max(2) {
        return None;
    }
    let n = logs.len() as f64;
    let mean = |pick: fn(&(f64, f64)) -> f64| logs.iter().map(pick).sum::<f64>() / n;
    let (mean_x, mean_y) = (mean(|p| p.0), mean(|p| p.1));
    let along: f64 = logs.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let spread: f64 = logs.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    Some(along / spread)
}

/// Root mean square of a series that comes in parts.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Squares {
    sum: f64,
    count: u64,
}

impl Squares {
    /// Takes one value in.
    pub fn add(&mut self, value: f64) {
        self.sum += value * value;
        self.count += 1;
    }

    /// The root of the mean square; 0 of nothing.
    pub fn root_mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { (self.sum / self.count as f64).sqrt() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn too_few_sizes_and_points_without_a_logarithm_have_no_exponent() {
        for points in [
            &[][..],
            &[(1.0, 1.0), (2.0, 2.0)],
            &[(1.0, 1.0), (2.0, 2.0), (2.0, 3.0)],
            &[(1.0, 0.0), (2.0, 2.0), (3.0, 3.0)],
            &[(1.0, f64::NAN), (2.0, 2.0), (3.0, 3.0)],
            &[(1.0, f64::INFINITY), (2.0, 2.0), (3.0, 3.0)],
        ] {
            assert_eq!(exponent(points, 3), None, "{points:?}");
        }
    }

    #[test]
    fn the_root_mean_square_is_that() {
        let mut squares = Squares::default();
        assert!(squares.root_mean().abs() < 1e-12);
        squares.add(3.0);
        squares.add(-4.0);
        assert!((squares.root_mean() - 12.5f64.sqrt()).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn a_power_law_gives_its_exponent_back(a in 1e-9f64..1e3, b in -2.0f64..2.0) {
            let points = [10.0, 300.0, 5000.0, 1e6].map(|x: f64| (x, a * x.powf(b)));
            let found = exponent(&points, 3).unwrap();
            prop_assert!((found - b).abs() < 1e-9, "{found} for {b}");
        }
    }
}
