//! Samples as pictures of characters: in their order as a sparkline, by size as a histogram.
//!
//! Pure: a width and a set of characters in, lines out.

/// Which characters a terminal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Charset {
    /// Blocks in eighths.
    Unicode,
    /// Letters and signs.
    Ascii,
}

impl Charset {
    /// What a terminal of that locale (`LC_ALL`, `LC_CTYPE` or `LANG`) and `TERM` shows.
    pub(super) fn of_terminal(locale: &str, term: &str) -> Self {
        let locale = locale.to_lowercase();
        let utf8 = locale.contains("utf-8") || locale.contains("utf8");
        if utf8 && term != "dumb" { Self::Unicode } else { Self::Ascii }
    }

    /// Lowest first.
    fn levels(self) -> [char; 8] {
        match self {
            Self::Unicode => ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
            Self::Ascii => ['_', '.', ':', '-', '=', '+', '*', '#'],
        }
    }

    /// Beyond the top.
    fn above(self) -> char {
        match self {
            Self::Unicode => '↑',
            Self::Ascii => '^',
        }
    }

    fn boundary(self) -> char {
        match self {
            Self::Unicode => '│',
            Self::Ascii => '|',
        }
    }

    /// A bar of so many eighths of a character; what is more than nothing is seen.
    fn bar(self, eighths: usize) -> String {
        match self {
            Self::Unicode => {
                let part = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
                "█".repeat(eighths / 8) + part
            }
            Self::Ascii => "#".repeat(eighths.div_ceil(8)),
        }
    }
}

/// Samples in their order, and what the marks mean.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sparkline {
    /// One mark a launch or a bucket of launches, with marks between processes.
    pub(super) marks: String,
    /// Launches that one mark stands for; it shows their median.
    pub(super) bucket: usize,
    /// The lowest mark.
    pub(super) low: f64,
    /// The highest mark; what lies beyond has a mark of its own.
    pub(super) high: f64,
    /// Marks that lie beyond.
    pub(super) beyond: usize,
}

/// The samples of each process in order, at most `width` characters; nothing without samples.
pub(super) fn sparkline(
    processes: &[Vec<f64>],
    width: usize,
    charset: Charset,
) -> Option<Sparkline> {
    let processes: Vec<&[f64]> =
        processes.iter().map(Vec::as_slice).filter(|p| !p.is_empty()).collect();
    let longest = processes.iter().map(|p| p.len()).max()?;
    // The smallest bucket that fits; with too many processes to mark, they run together.
    let marks = |bucket: usize| {
        let marks: usize = processes.iter().map(|p| p.len().div_ceil(bucket)).sum();
        marks + processes.len() - 1
    };
    if let Some(bucket) = (1..=longest).find(|&bucket| marks(bucket) <= width) {
        let parts: Vec<Vec<f64>> = processes.iter().map(|p| medians(p, bucket)).collect();
        return Some(drawn(&parts, bucket, charset));
    }
    let all = processes.concat();
    let bucket = all.len().div_ceil(width.max(1));
    Some(drawn(&[medians(&all, bucket)], bucket, charset))
}

fn medians(samples: &[f64], bucket: usize) -> Vec<f64> {
    samples.chunks(bucket).map(|chunk| quantile(&sorted(chunk), 0.5)).collect()
}

fn drawn(parts: &[Vec<f64>], bucket: usize, charset: Charset) -> Sparkline {
    let all = sorted(&parts.concat());
    let (low, high) = (all[0], fence(&all));
    let levels = charset.levels();
    let mark = |value: &f64| {
        let share = if high > low { (value - low) / (high - low) } else { 0.0 };
        match value {
            value if *value > high => charset.above(),
            _ => levels[((share * 8.0) as usize).min(7)],
        }
    };
    let marks: Vec<String> = parts.iter().map(|p| p.iter().map(mark).collect()).collect();
    let beyond = all.iter().filter(|value| **value > high).count();
    let marks = marks.join(&charset.boundary().to_string());
    Sparkline { marks, bucket, low, high, beyond }
}

/// The largest sample within three quartile distances of the upper quartile (Tukey, Exploratory
/// Data Analysis, 1977: the outer fence), so that one disturbed launch does not flatten the rest.
fn fence(sorted: &[f64]) -> f64 {
    let (q1, q3) = (quantile(sorted, 0.25), quantile(sorted, 0.75));
    let fence = q3 + 3.0 * (q3 - q1);
    sorted.iter().rev().find(|x| **x <= fence).copied().unwrap_or(sorted[0])
}

/// How many samples lie in each part of the range, one line each; nothing without samples.
///
/// With a long tail each part is twice as wide as the one before, so that tail and body both show,
/// and the last takes in all that is above.
pub(super) fn histogram(
    samples: &[f64],
    rows: usize,
    width: usize,
    charset: Charset,
) -> Vec<String> {
    let all = sorted(samples);
    if all.is_empty() {
        return Vec::new();
    }
    let edges = edges(&all, rows.max(1));
    let counts = counts(&all, &edges);
    let labels = labels(&edges);
    let most = counts.iter().max().copied().unwrap_or(0).max(1);
    let numbers = most.to_string().len();
    let label = labels.iter().map(|l| l.chars().count()).max().unwrap_or(0);
    let room = width.saturating_sub(label + numbers + 4);
    let line = |(label_text, count): (&String, &usize)| {
        let eighths = (count * room * 8 / most).max(usize::from(*count > 0));
        let bar = charset.bar(eighths);
        format!("{label_text:>label$}  {count:>numbers$}  {bar}").trim_end().to_owned()
    };
    labels.iter().zip(&counts).map(line).collect()
}

/// The lower ends of the parts, the first being the smallest sample.
fn edges(sorted: &[f64], rows: usize) -> Vec<f64> {
    let (low, high) = (sorted[0], sorted[sorted.len() - 1]);
    let range = high - low;
    if range <= 0.0 {
        return vec![low];
    }
    let body = fence(sorted) - low;
    if rows <= 2 || range <= 2.0 * body {
        return (0..rows).map(|row| low + range * row as f64 / rows as f64).collect();
    }
    let narrowest = if body > 0.0 { body / 4.0 } else { range / 2.0_f64.powi(rows as i32 - 1) };
    let doubling = (0..rows - 1).map(|row| low + narrowest * 2.0_f64.powi(row as i32));
    std::iter::once(low).chain(doubling.filter(|edge| *edge <= high)).collect()
}

fn counts(sorted: &[f64], edges: &[f64]) -> Vec<usize> {
    let mut counts = vec![0; edges.len()];
    for sample in sorted {
        let row = edges.iter().rposition(|edge| edge <= sample).unwrap_or(0);
        counts[row] += 1;
    }
    counts
}

/// The lower ends in one unit, with as many digits as tell them apart.
fn labels(edges: &[f64]) -> Vec<String> {
    let (low, last) = (edges[0], edges[edges.len() - 1]);
    let (factor, unit) = match last {
        us if us < 1.0 => (1e3, "ns"),
        us if us < 1e3 => (1.0, "us"),
        us if us < 1e6 => (1e-3, "ms"),
        _ => (1e-6, "s"),
    };
    let step = edges.get(1).map_or(low, |second| second - low) * factor;
    let digits = if step > 0.0 { (1.0 - step.log10()).ceil().clamp(0.0, 6.0) as usize } else { 2 };
    edges.iter().map(|edge| format!("{:.digits$} {unit}", edge * factor)).collect()
}

fn sorted(samples: &[f64]) -> Vec<f64> {
    let mut all: Vec<f64> = samples.iter().copied().filter(|x| x.is_finite()).collect();
    all.sort_by(f64::total_cmp);
    all
}

/// Of sorted values, between neighbours in proportion.
fn quantile(sorted: &[f64], p: f64) -> f64 {
    crate::stats::quantile(sorted, p)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn drawing(processes: &[Vec<f64>], width: usize, charset: Charset) -> String {
        sparkline(processes, width, charset).map(|s| s.marks).unwrap_or_default()
    }

    #[test]
    fn one_mark_a_launch_and_one_between_processes() {
        let steps: Vec<f64> = (0..8).map(f64::from).collect();
        let processes = [steps.clone(), steps.iter().rev().copied().collect()];
        assert_eq!(drawing(&processes, 40, Charset::Unicode), "▁▂▃▄▅▆▇█│█▇▆▅▄▃▂▁");
        assert_eq!(drawing(&processes, 40, Charset::Ascii), "_.:-=+*#|#*+=-:._");
        assert_eq!(drawing(&[vec![3.0; 5]], 40, Charset::Ascii), "_____");
        assert_eq!(sparkline(&[Vec::new()], 40, Charset::Ascii), None);
    }

    #[test]
    fn a_disturbed_launch_is_marked_and_does_not_flatten_the_rest() {
        let mut samples: Vec<f64> = (0..16).map(|i| 10.0 + f64::from(i % 4)).collect();
        samples[5] = 500.0;
        let spark = sparkline(&[samples], 40, Charset::Unicode).expect("samples");
        assert_eq!(spark.marks, "▁▃▆█▁↑▆█▁▃▆█▁▃▆█");
        assert_eq!((spark.low, spark.high, spark.beyond, spark.bucket), (10.0, 13.0, 1, 1));
    }

    #[test]
    fn launches_that_do_not_fit_share_a_mark() {
        let samples: Vec<f64> = (0..100).map(f64::from).collect();
        let spark =
            sparkline(&[samples[..50].to_vec(), samples[50..].to_vec()], 21, Charset::Ascii);
        let spark = spark.expect("samples");
        assert_eq!((spark.bucket, spark.marks.as_str()), (5, "___..:::--|==+++**###"));
        let many: Vec<Vec<f64>> = samples.iter().map(|x| vec![*x]).collect();
        let spark = sparkline(&many, 10, Charset::Ascii).expect("samples");
        assert_eq!((spark.bucket, spark.marks.as_str()), (10, "__.:-=+*##"));
    }

    #[test]
    fn a_histogram_of_an_even_spread_has_even_parts() {
        let samples: Vec<f64> = (0..64).map(|i| 15.0 + f64::from(i * i % 16) / 100.0).collect();
        let text = histogram(&samples, 4, 40, Charset::Unicode).join("\n");
        insta::assert_snapshot!(text, @r"
        15.000 us  32  █████████████████████████
        15.023 us  16  ████████████▌
        15.045 us   0
        15.067 us  16  ████████████▌
        ");
    }

    #[test]
    fn a_long_tail_is_shown_in_parts_that_double() {
        let mut samples: Vec<f64> = (0..60).map(|i| 100.0 + f64::from(i % 6)).collect();
        samples.extend([150.0, 400.0, 900.0]);
        let text = histogram(&samples, 6, 40, Charset::Ascii).join("\n");
        insta::assert_snapshot!(text, @r"
        100.0 us  20  ##########################
        101.2 us  10  #############
        102.5 us  20  ##########################
        105.0 us  10  #############
        110.0 us   0
        120.0 us   3  ####
        ");
    }

    #[test]
    fn samples_that_are_all_the_same_have_one_part() {
        assert_eq!(histogram(&[2500.0; 3], 8, 20, Charset::Ascii), ["2.5 ms  3  #########"]);
        assert_eq!(histogram(&[], 8, 20, Charset::Ascii), Vec::<String>::new());
    }

    #[test]
    fn blocks_are_for_terminals_that_say_utf_8() {
        for (locale, term, charset) in [
            ("en_GB.UTF-8", "xterm", Charset::Unicode),
            ("C.utf8", "", Charset::Unicode),
            ("C.UTF-8", "dumb", Charset::Ascii),
            ("POSIX", "xterm", Charset::Ascii),
            ("", "xterm", Charset::Ascii),
        ] {
            assert_eq!(Charset::of_terminal(locale, term), charset, "{locale} {term}");
        }
    }

    proptest! {
        #[test]
        fn pictures_stay_within_their_width_and_count_every_sample(
            processes in prop::collection::vec(prop::collection::vec(1e-3..1e7_f64, 0..40), 1..12),
            width in 40..80_usize,
        ) {
            let all = processes.concat();
            for charset in [Charset::Unicode, Charset::Ascii] {
                let spark = drawing(&processes, width, charset);
                prop_assert!(spark.chars().count() <= width, "{spark}");
                prop_assert_eq!(spark.is_empty(), all.is_empty());
                let lines = histogram(&all, 8, width, charset);
                let mut sum = 0;
                for line in &lines {
                    prop_assert!(line.chars().count() <= width, "{line}");
                    sum += line.split_whitespace().nth(2).and_then(|n| n.parse::<usize>().ok()).unwrap_or(0);
                }
                prop_assert_eq!(sum, all.len());
            }
        }
    }
}
