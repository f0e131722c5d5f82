//! Quantiles of the normal distribution, for how much a machine could have seen.

use std::f64::consts::TAU;

/// The z below which a normal value lies with this probability; `None` when it is not between 0
/// and 1. Probabilities nearer to 0 or 1 than 1e-9 are taken as that.
pub(super) fn quantile(p: f64) -> Option<f64> {
    if !(p > 0.0 && p < 1.0) {
        return None;
    }
    // The distribution is monotone; 80 halvings leave nothing open.
    let (mut low, mut high) = (-6.0, 6.0);
    for _ in 0..80 {
        let z = f64::midpoint(low, high);
        if below(z) < p { low = z } else { high = z }
    }
    Some(f64::midpoint(low, high))
}

/// P(Z <= z) by the series z + z^3/3 + z^5/(3 5) + ... (Marsaglia 2004, *Evaluating the normal
/// distribution*), good to 1e-15 within six standard deviations.
fn below(z: f64) -> f64 {
    let (mut term, mut sum, mut odd) = (z, z, 1.0);
    while term.abs() > 1e-17 * sum.abs() {
        odd += 2.0;
        term *= z * z / odd;
        sum += term;
    }
    0.5 + sum * (-0.5 * z * z).exp() / TAU.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_agree_with_the_published_table() {
        // Abramowitz & Stegun, table 26.5.
        for (p, z) in [(0.5, 0.0), (0.8, 0.841_621), (0.975, 1.959_964), (0.999, 3.090_232)] {
            assert!((quantile(p).unwrap() - z).abs() < 1e-6, "{p}");
            assert!((quantile(1.0 - p).unwrap() + z).abs() < 1e-6, "{p}");
        }
        for p in [0.0, 1.0, -1.0, f64::NAN] {
            assert_eq!(quantile(p), None);
        }
    }
}
