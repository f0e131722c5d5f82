//! When a kernel has warmed up.

/// How many launches at the end are looked at.
const LAST: usize = 3;
/// How far apart they may be, relatively.
const APART: f64 = 0.05;
/// How far they may fall without a rise between, relatively.
const FALL: f64 = 0.01;

/// True when launch times, in the order they were taken, have stopped falling: the last three lie
/// within 5 % of each other, and do not fall from each to the next by more than 1 % in all.
///
/// The first launches of a process are 2 to 67 % slower than the rest, and fall towards it; 5 %
/// ends the steep part and the trend rule the gentle one. Three launches without any trend fall
/// twice in a row once in six times, which costs a steady kernel a launch more and no answer.
/// Callers bound the number of launches: a kernel that never settles is measured all the same and
/// marked as unstable. False for fewer than three, or when one of them is not finite and above 0.
pub fn settled(times: &[f64]) -> bool {
    let Some(&[first, second, third]) = times.last_chunk::<LAST>() else { return false };
    let last = [first, second, third];
    if last.iter().any(|x| !x.is_finite() || *x <= 0.0) {
        return false;
    }
    let fastest = last.into_iter().fold(f64::INFINITY, f64::min);
    let slowest = last.into_iter().fold(0.0, f64::max);
    let falling = first > second && second > third && first / third - 1.0 > FALL;
    slowest / fastest - 1.0 <= APART && !falling
}

#[cfg(test)]
mod tests {
    use super::settled;

    #[test]
    fn only_launches_that_are_alike_and_do_not_fall_are_settled() {
        for (times, expected) in [
            (&[][..], false),
            (&[100.0, 100.0], false),
            (&[100.0, 100.0, 100.0], true),
            (&[900.0, 100.0, 101.0, 100.5], true),
            (&[100.0, 100.0, 100.0, 106.0], false),
            (&[100.0, 106.0, 100.0], false),
            (&[100.0, 104.9, 100.0], true),
            // Falling by 2 % a launch; by 0.3 %; rising; falling and back.
            (&[104.0, 102.0, 100.0], false),
            (&[100.6, 100.3, 100.0], true),
            (&[100.0, 102.0, 104.0], true),
            (&[104.0, 100.0, 102.0], true),
            (&[100.0, f64::NAN, 100.0], false),
            (&[100.0, f64::INFINITY, 100.0], false),
            (&[0.0, 0.0, 0.0], false),
            (&[f64::NAN, 100.0, 100.0, 100.0], true),
        ] {
            assert_eq!(settled(times), expected, "{times:?}");
        }
    }
}
