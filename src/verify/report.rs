//! A mismatch report: how many, where first, got and wanted, and what was allowed.

use std::fmt::Write as _;

use super::{Comparison, Element, Mismatch};

/// Says in a few lines how `name`, a buffer of `shape`, compares with the reference.
pub fn report(comparison: &Comparison, name: &str, shape: &[usize]) -> String {
    let mut text = headline(comparison, name);
    if comparison.want_nan > 0 {
        let _ = write!(
            text,
            "\n  the reference itself gives nan in {} of them: mend the problem's inputs or \
             reference, or write `equal_nan = true` under [tolerance] where nan is the right answer",
            comparison.want_nan
        );
    }
    for mismatch in &comparison.first {
        let _ = write!(text, "\n  {}", line(comparison, mismatch, name, shape));
    }
    let hidden = comparison.mismatches - comparison.first.len() as u64;
    if hidden > 0 {
        let _ = write!(text, "\n  and {hidden} more");
    }
    text
}

fn headline(comparison: &Comparison, name: &str) -> String {
    let Comparison { elements, mismatches, tolerance, .. } = comparison;
    let errors = errors(comparison);
    let allowed = format!("rtol {:e}, atol {:e}", tolerance.rtol, tolerance.atol);
    if *elements == 0 {
        return format!("{name}: nothing was compared");
    }
    if comparison.passed() {
        return format!("{name}: all {elements} elements agree ({allowed}; {errors})");
    }
    let share = 100.0 * *mismatches as f64 / *elements as f64;
    format!(
        "{name}: {mismatches} of {elements} elements ({share:.3}%) differ ({allowed}; {errors})"
    )
}

/// The largest errors. Where NaN or an infinity is the mismatch, the largest of the others would read
/// as if nothing were wrong.
fn errors(comparison: &Comparison) -> String {
    let Comparison { max_abs, max_rel, max_int, not_finite, .. } = comparison;
    let largest = match max_int {
        Some(most) => format!("{most} absolute, {max_rel:.3e} relative"),
        None => format!("{max_abs:.3e} absolute, {max_rel:.3e} relative"),
    };
    match not_finite {
        0 => format!("largest error {largest}"),
        n if *n == comparison.mismatches => format!("{n} without a finite error"),
        n => format!("{n} without a finite error; largest finite error {largest}"),
    }
}

fn line(comparison: &Comparison, mismatch: &Mismatch, name: &str, shape: &[usize]) -> String {
    let Mismatch { index, got, want } = mismatch;
    let place = position(*index, shape);
    let start = format!("{name}{place}: got {got}, want {want}");
    let tolerance = &comparison.tolerance;
    match (*got, *want) {
        (Element::Int(got), Element::Int(want)) => {
            let (off, allowed) = (got.abs_diff(want), tolerance.allowed_integer(want));
            format!("{start} (off by {off}, allowed {allowed})")
        }
        (Element::Float(got), Element::Float(want)) if (got - want).is_finite() => {
            let (off, allowed) = ((got - want).abs(), tolerance.allowed(want));
            format!("{start} (off by {off:.3e}, allowed {allowed:.3e})")
        }
        _ => start,
    }
}

/// `[3, 17]` of a flat index in row-major order.
fn position(index: u64, shape: &[usize]) -> String {
    let mut rest = index;
    let mut parts = Vec::with_capacity(shape.len().max(1));
    for &extent in shape.iter().skip(1).rev() {
        let extent = extent.max(1) as u64;
        parts.push((rest % extent).to_string());
        rest /= extent;
    }
    parts.push(rest.to_string());
    parts.reverse();
    format!("[{}]", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::{Dtype, Tolerance, compare};

    const EXACT: Tolerance = Tolerance { rtol: 0.0, atol: 0.0, equal_nan: false };

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_ne_bytes()).collect()
    }

    #[test]
    fn positions_are_row_major() {
        for (index, shape, expected) in [
            (0, &[2usize, 3, 4][..], "[0, 0, 0]"),
            (23, &[2, 3, 4], "[1, 2, 3]"),
            (12, &[2, 3, 4], "[1, 0, 0]"),
            (7, &[100], "[7]"),
            (7, &[], "[7]"),
        ] {
            assert_eq!(position(index, shape), expected);
        }
    }

    #[test]
    fn a_report_tells_how_many_where_and_what_was_allowed() {
        let want = bytes(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let got = bytes(&[1.0, 2.0, 3.0, 4.5, 5.0, f32::NAN]);
        let tolerance = Tolerance { rtol: 0.01, atol: 0.0, equal_nan: false };
        let found = compare(&got, &want, Dtype::F32, &tolerance);
        assert_eq!(
            report(&found, "y", &[2, 3]),
            "y: 2 of 6 elements (33.333%) differ (rtol 1e-2, atol 0e0; \
             1 without a finite error; largest finite error 5.000e-1 absolute, 1.250e-1 \
             relative)\n  \
             y[1, 0]: got 4.5, want 4 (off by 5.000e-1, allowed 4.000e-2)\n  \
             y[1, 2]: got nan, want 6"
        );
    }

    #[test]
    fn only_the_first_mismatches_are_told_and_the_rest_counted() {
        let found = compare(
            &[1; 100],
            &[2; 100],
            Dtype::U8,
            &Tolerance { rtol: 0.0, atol: 0.0, equal_nan: false },
        );
        let text = report(&found, "flags", &[100]);
        assert!(text.contains("flags[7]: got 1, want 2"), "{text}");
        assert!(!text.contains("flags[8]"), "{text}");
        assert!(text.ends_with("and 92 more"), "{text}");
    }

    #[test]
    fn a_nan_of_the_reference_is_blamed_on_the_problem() {
        let nan = bytes(&[f32::NAN]);
        let found =
            compare(&nan, &nan, Dtype::F32, &Tolerance { rtol: 1.0, atol: 1.0, equal_nan: false });
        let text = report(&found, "y", &[1]);
        assert!(text.contains("the reference itself gives nan in 1"), "{text}");
        assert!(text.contains("write `equal_nan = true` under [tolerance]"), "{text}");
        let wanted = Tolerance { rtol: 1.0, atol: 1.0, equal_nan: true };
        assert!(compare(&nan, &nan, Dtype::F32, &wanted).passed());
    }

    #[test]
    fn a_failure_by_nan_has_no_largest_error_of_zero() {
        let (got, want) = (bytes(&[1.0, f32::NAN]), bytes(&[1.0, 2.0]));
        let found = compare(&got, &want, Dtype::F32, &EXACT);
        let text = report(&found, "y", &[2]);
        assert!(text.contains("1 without a finite error"), "{text}");
        assert!(!text.contains("0.000e0"), "{text}");
    }

    #[test]
    fn differences_of_integers_are_integers() {
        let (got, want) = (i64::MAX - 1, i64::MAX - 11);
        let one = Tolerance { rtol: 0.0, atol: 1.0, equal_nan: false };
        let found = compare(&got.to_ne_bytes(), &want.to_ne_bytes(), Dtype::I64, &one);
        let text = report(&found, "y", &[1]);
        assert!(text.contains("largest error 10 absolute"), "{text}");
        assert!(text.contains("(off by 10, allowed 1)"), "{text}");
        let found = compare(&[250], &[5], Dtype::U8, &EXACT);
        let text = report(&found, "y", &[1]);
        assert!(text.contains("got 250, want 5 (off by 245, allowed 0)"), "{text}");
    }
}
