//! A mismatch report: how many, where first, got and wanted, and what was allowed.

use std::fmt::Write as _;

use super::{Comparison, Element, Mismatch};

/// Says in a few lines how `name`, a buffer of `shape`, compares with the reference.
pub fn report(comparison: &Comparison, name: &str, shape: &[usize]) -> String {
    let mut text = headline(comparison, name);
    if comparison.want_nan > 0 {
        let _ = write!(
            text,
            "\n  the reference itself gives nan in {} of them: the problem's inputs or reference \
             need mending before any candidate can pass",
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
    let Comparison { elements, mismatches, max_abs, max_rel, tolerance, .. } = comparison;
    let errors = format!("largest error {max_abs:.3e} absolute, {max_rel:.3e} relative");
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

fn line(comparison: &Comparison, mismatch: &Mismatch, name: &str, shape: &[usize]) -> String {
    let Mismatch { index, got, want } = mismatch;
    let place = position(*index, shape);
    let (got_value, want_value) = (value(*got), value(*want));
    let difference = (got_value - want_value).abs();
    let start = format!("{name}{place}: got {got}, want {want}");
    if !difference.is_finite() || !want_value.is_finite() {
        return start;
    }
    let allowed = comparison.tolerance.allowed(want_value);
    format!("{start} (off by {difference:.3e}, allowed {allowed:.3e})")
}

fn value(element: Element) -> f64 {
    match element {
        Element::Float(value) => value,
        Element::Int(value) => value as f64,
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
        let tolerance = Tolerance { rtol: 0.01, atol: 0.0 };
        let found = compare(&got, &want, Dtype::F32, &tolerance);
        assert_eq!(
            report(&found, "y", &[2, 3]),
            "y: 2 of 6 elements (33.333%) differ (rtol 1e-2, atol 0e0; \
             largest error 5.000e-1 absolute, 1.250e-1 relative)\n  \
             y[1, 0]: got 4.5, want 4 (off by 5.000e-1, allowed 4.000e-2)\n  \
             y[1, 2]: got nan, want 6"
        );
    }

    #[test]
    fn only_the_first_mismatches_are_told_and_the_rest_counted() {
        let found = compare(&[1; 100], &[2; 100], Dtype::U8, &Tolerance { rtol: 0.0, atol: 0.0 });
        let text = report(&found, "flags", &[100]);
        assert!(text.contains("flags[7]: got 1, want 2"), "{text}");
        assert!(!text.contains("flags[8]"), "{text}");
        assert!(text.ends_with("and 92 more"), "{text}");
    }

    #[test]
    fn a_nan_of_the_reference_is_blamed_on_the_problem() {
        let nan = bytes(&[f32::NAN]);
        let found = compare(&nan, &nan, Dtype::F32, &Tolerance { rtol: 1.0, atol: 1.0 });
        assert!(report(&found, "y", &[1]).contains("the reference itself gives nan in 1"));
    }
}
