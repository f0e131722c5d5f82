//! Quantiles of Student's t, for the few processes for which ranks cannot reach a level.

use std::f64::consts::FRAC_PI_2;

/// The t that encloses the share `level` of the distribution symmetrically: P(|T| <= t) = level.
/// `None` without a degree of freedom, or when the level is not within 0..1.
pub(super) fn two_sided(freedom: usize, level: f64) -> Option<f64> {
    if freedom == 0 || !(0.0..1.0).contains(&level) {
        return None;
    }
    // The share is monotone in the angle, and 100 halvings leave no digit open.
    let (mut low, mut high) = (0.0, FRAC_PI_2);
    for _ in 0..100 {
        let angle = f64::midpoint(low, high);
        if share(freedom, angle) < level { low = angle } else { high = angle }
    }
    Some((freedom as f64).sqrt() * low.tan())
}

/// P(|T| <= t) with t = sqrt(freedom) tan(angle): the finite series of Abramowitz & Stegun,
/// *Handbook of Mathematical Functions*, 26.7.3 and 26.7.4, exact for whole degrees of freedom.
fn share(freedom: usize, angle: f64) -> f64 {
    let (sine, cosine) = angle.sin_cos();
    let square = cosine * cosine;
    let odd = freedom % 2 == 1;
    if freedom == 1 {
        return angle / FRAC_PI_2;
    }
    // Term j is the one before times (j - 1) / j times the squared cosine.
    let mut term = if odd { cosine } else { 1.0 };
    let mut sum = term;
    let mut j = if odd { 3 } else { 2 };
    while j < freedom {
        term *= square * (j - 1) as f64 / j as f64;
        sum += term;
        j += 2;
    }
    if odd { (angle + sine * sum) / FRAC_PI_2 } else { sine * sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_agree_with_the_published_table() {
        // Two-sided 95 % and 99 %, as in Abramowitz & Stegun, table 26.10.
        for (freedom, at_95, at_99) in [
            (1, 12.706, 63.657),
            (2, 4.303, 9.925),
            (3, 3.182, 5.841),
            (4, 2.776, 4.604),
            (5, 2.571, 4.032),
            (9, 2.262, 3.250),
            (10, 2.228, 3.169),
            (30, 2.042, 2.750),
            (120, 1.980, 2.617),
        ] {
            for (level, expected) in [(0.95, at_95), (0.99, at_99)] {
                let t = two_sided(freedom, level).unwrap();
                assert!((t - expected).abs() < 6e-4, "{freedom} {level}: {t}");
            }
        }
    }

    #[test]
    fn one_and_two_degrees_agree_with_their_closed_forms() {
        for level in [0.5, 0.9, 0.95, 0.999] {
            let one = (level * FRAC_PI_2).tan();
            assert!((two_sided(1, level).unwrap() / one - 1.0).abs() < 1e-12);
            let two = level * (2.0 / (1.0 - level * level)).sqrt();
            assert!((two_sided(2, level).unwrap() / two - 1.0).abs() < 1e-11);
        }
    }

    #[test]
    fn many_degrees_come_near_the_normal_and_bad_levels_have_none() {
        assert!((two_sided(100_000, 0.95).unwrap() - 1.959_964).abs() < 1e-4);
        assert_eq!(two_sided(3, 0.0), Some(0.0));
        for (freedom, level) in [(0, 0.95), (3, 1.0), (3, -0.1), (3, f64::NAN)] {
            assert_eq!(two_sided(freedom, level), None);
        }
    }
}
