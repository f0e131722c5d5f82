//! Small statistics of the studies.

use optloop::stats::quantile;

/// The middle of values that are not empty.
pub(crate) fn median(values: &[f64]) -> f64 {
    at(values, 0.5)
}

/// A quantile of values that are not empty.
pub(crate) fn at(values: &[f64], p: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    quantile(&sorted, p)
}

/// The distance of the quartiles as a share of the median.
pub(crate) fn relative_iqr(values: &[f64]) -> f64 {
    (at(values, 0.75) - at(values, 0.25)) / median(values)
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Standard deviation.
pub(crate) fn deviation(values: &[f64]) -> f64 {
    let centre = mean(values);
    let squares: f64 = values.iter().map(|v| (v - centre).powi(2)).sum();
    (squares / (values.len().max(2) - 1) as f64).sqrt()
}

/// How alike neighbours in time are: the correlation of each value with the one before.
pub(crate) fn lag_correlation(values: &[f64]) -> f64 {
    let centre = mean(values);
    let product: f64 = values.windows(2).map(|w| (w[0] - centre) * (w[1] - centre)).sum();
    let square: f64 = values.iter().map(|v| (v - centre).powi(2)).sum();
    product / square.max(f64::MIN_POSITIVE)
}

/// The Hodges-Lehmann location of times, in logarithms as the harness takes it, of any number of
/// values: the median of the means of all pairs.
pub(crate) fn location(values: &[f64]) -> f64 {
    let logs: Vec<f64> = values.iter().map(|v| v.ln()).collect();
    let mut means = Vec::with_capacity(logs.len() * (logs.len() + 1) / 2);
    for (i, a) in logs.iter().enumerate() {
        means.extend(logs[i..].iter().map(|b| f64::midpoint(*a, *b)));
    }
    let middle = means.len() / 2;
    let (_, value, _) = means.select_nth_unstable_by(middle, f64::total_cmp);
    value.exp()
}

/// The 95 % interval of a share (Wilson 1927).
pub(crate) fn share_interval(hits: usize, of: usize) -> (f64, f64) {
    const Z: f64 = 1.959_964;
    let n = of.max(1) as f64;
    let p = hits as f64 / n;
    let centre = (p + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    ((centre - half).max(0.0), (centre + half).min(1.0))
}

/// `93.4 % (90.1 – 95.8)`.
pub(crate) fn share(hits: usize, of: usize) -> String {
    let (lower, upper) = share_interval(hits, of);
    let share = 100.0 * hits as f64 / of.max(1) as f64;
    format!("{share:.1} % ({:.1} – {:.1})", 100.0 * lower, 100.0 * upper)
}
