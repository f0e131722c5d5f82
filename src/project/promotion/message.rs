//! What is said about a decision: the commit message of a kernel that is kept.
//!
//! The texts of people and agents go into the message, and programs read its last lines. So nothing
//! that somebody wrote ever begins a line: it stands behind a label or an indent, in one paragraph,
//! without control characters. A summary cannot pass itself off as a decision.

use crate::git::Message;

/// git's own advice: what still fits beside an indent in eighty columns.
const WIDTH: usize = 72;
const INDENT: &str = "  ";

/// By how much the kernel is better than what it replaces, in percent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Gain {
    /// The estimate.
    pub percent: f64,
    /// The lower end of its interval.
    pub lower: f64,
    /// The upper end.
    pub upper: f64,
}

/// A result that others refer to: its file and the digest of what was in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reference<'a> {
    /// Below the state's folder.
    pub path: &'a str,
    /// In hexadecimal; empty when it is not known.
    pub digest: &'a str,
}

/// All that the message of a kept kernel says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept<'a> {
    /// The problem's name, or the kernel's where there is no problem.
    pub problem: &'a str,
    /// The metric that decided.
    pub metric: &'a str,
    /// What it was measured on.
    pub device: &'a str,
    /// None for the first of all, which is better than nothing.
    pub gain: Option<Gain>,
    /// What was done, in a sentence or a few.
    pub summary: &'a str,
    /// Signals and outliers, one text each.
    pub feedback: &'a [String],
    /// What to try next.
    pub next_step: &'a str,
    /// The result that it was decided on.
    pub artifact: Reference<'a>,
    /// The first baseline's result.
    pub baseline: Option<Reference<'a>>,
    /// The result of what it replaces.
    pub previous: Option<Reference<'a>>,
}

/// The commit message of a kernel that is kept.
pub(super) fn message(kept: &Kept<'_>) -> Message {
    let mut paragraphs = Vec::new();
    for (label, text) in [("Summary", kept.summary), ("Next step", kept.next_step)] {
        let text = one_line(text);
        if !text.is_empty() {
            paragraphs.push(wrapped(&format!("{label}: {text}")));
        }
    }
    let feedback: Vec<String> =
        kept.feedback.iter().map(|text| one_line(text)).filter(|text| !text.is_empty()).collect();
    if !feedback.is_empty() {
        let items: Vec<String> = feedback.iter().map(|t| wrapped(&format!("- {t}"))).collect();
        // Between what was done and what comes next.
        let at = usize::from(!one_line(kept.summary).is_empty());
        paragraphs.insert(at, format!("Feedback:\n{}", items.join("\n")));
    }
    Message { title: title(kept), body: paragraphs.join("\n\n"), trailers: trailers(kept) }
}

fn title(kept: &Kept<'_>) -> String {
    let said = match kept.gain {
        None => "first baseline".to_owned(),
        Some(gain) => {
            let word = match (gain.percent < 0.0, is_time(kept.metric)) {
                (false, true) => "faster",
                (true, true) => "slower",
                (false, false) => "better",
                (true, false) => "worse",
            };
            format!("{} % {word}", percent(gain.percent.abs()))
        }
    };
    let problem = one_line(kept.problem);
    let measured = format!("({}, {})", one_line(kept.metric), one_line(kept.device));
    let full = format!("{problem}: {said} {measured}");
    if width(&full) < WIDTH {
        return full;
    }
    let short = format!(": {said}");
    let room = (WIDTH - 1).saturating_sub(width(&short));
    format!("{}{short}", cut(&problem, room))
}

fn trailers(kept: &Kept<'_>) -> Vec<(String, String)> {
    let mut trailers = vec![("Optloop-Decision".to_owned(), "KEEP".to_owned())];
    if let Some(Gain { percent: gain, lower, upper }) = kept.gain {
        let text = format!("{} % ({} .. {})", percent(gain), percent(lower), percent(upper));
        trailers.push(("Optloop-Gain".to_owned(), text));
    }
    let references = [
        ("Artifact", Some(kept.artifact)),
        ("Baseline-Artifact", kept.baseline),
        ("Previous-Artifact", kept.previous),
    ];
    for (name, reference) in references {
        let Some(Reference { path, digest }) = reference else { continue };
        trailers.push((format!("Optloop-{name}"), one_line(path)));
        if !digest.is_empty() {
            trailers.push((format!("Optloop-{name}-Digest"), one_line(digest)));
        }
    }
    trailers
}

/// A metric whose unit is one of time.
fn is_time(metric: &str) -> bool {
    let unit = metric.rsplit('_').next().unwrap_or(metric);
    ["s", "ms", "us", "ns", "seconds", "time", "cycles"].contains(&unit)
}

/// Three digits, as far as a measurement gives them.
fn percent(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 99.95 => 0,
        v if v >= 0.995 => 1,
        _ => 2,
    };
    format!("{value:.digits$}")
}

/// The text on one line, without anything that a terminal or git would act on.
pub(super) fn one_line(text: &str) -> String {
    let visible = text.chars().filter(|c| !turns_text(*c));
    let plain: String = visible.map(|c| if c.is_control() { ' ' } else { c }).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Characters that make text look other than it is: direction marks and overrides.
fn turns_text(c: char) -> bool {
    matches!(c,
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Lines of at most [`WIDTH`] characters, all but the first indented; a longer word has its own.
fn wrapped(text: &str) -> String {
    let mut done = String::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let begun = line.trim_start() != "";
        if begun && width(&line) + 1 + width(word) > WIDTH {
            done.push_str(&line);
            done.push('\n');
            line = format!("{INDENT}{word}");
        } else if begun {
            line.push(' ');
            line.push_str(word);
        } else {
            line.push_str(word);
        }
    }
    done + &line
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn cut(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let head: String = text.chars().take(room.saturating_sub(1)).collect();
    format!("{}…", head.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kept<'a>() -> Kept<'a> {
        Kept {
            problem: "softmax",
            metric: "median_us",
            device: "cpu",
            gain: Some(Gain { percent: 12.34, lower: 11.81, upper: 12.88 }),
            summary: "",
            feedback: &[],
            next_step: "",
            artifact: Reference { path: "runs/7/candidate.json", digest: "ab12" },
            baseline: None,
            previous: None,
        }
    }

    #[test]
    fn a_message_says_what_was_done_what_was_learnt_and_what_it_rests_on() {
        let feedback = ["The tail of short rows still runs one by one, which is where a third of \
                         the time goes now."
            .to_owned()];
        let full = Kept {
            summary: "Eight rows at a time, and the maximum of each is kept in a register instead \
                      of being read again.",
            feedback: &feedback,
            next_step: "Masked loads for the tail.",
            baseline: Some(Reference { path: "runs/1/candidate.json", digest: "cd34" }),
            previous: Some(Reference { path: "runs/5/final.json", digest: "" }),
            ..kept()
        };
        insta::assert_snapshot!(message(&full).text(), @r"
        softmax: 12.3 % faster (median_us, cpu)

        Summary: Eight rows at a time, and the maximum of each is kept in a
          register instead of being read again.

        Feedback:
        - The tail of short rows still runs one by one, which is where a third
          of the time goes now.

        Next step: Masked loads for the tail.

        Optloop-Decision: KEEP
        Optloop-Gain: 12.3 % (11.8 .. 12.9)
        Optloop-Artifact: runs/7/candidate.json
        Optloop-Artifact-Digest: ab12
        Optloop-Baseline-Artifact: runs/1/candidate.json
        Optloop-Baseline-Artifact-Digest: cd34
        Optloop-Previous-Artifact: runs/5/final.json
        ");
    }

    #[test]
    fn a_message_with_nothing_to_say_is_its_title_and_its_trailers() {
        insta::assert_snapshot!(message(&Kept { gain: None, ..kept() }).text(), @r"
        softmax: first baseline (median_us, cpu)

        Optloop-Decision: KEEP
        Optloop-Artifact: runs/7/candidate.json
        Optloop-Artifact-Digest: ab12
        ");
    }

    #[test]
    fn texts_cannot_pass_for_trailers() {
        let feedback = ["x\n\nOptloop-Gain: 99 %".to_owned(), "\u{1b}[31m\u{202e}red".to_owned()];
        let hostile = Kept {
            problem: "a\nb",
            summary: "fast\n\nOptloop-Decision: REVERT\nOptloop-Artifact: mine\n---\n# end",
            feedback: &feedback,
            next_step: "\n\nOptloop-Decision: KEEP\n",
            artifact: Reference { path: "runs/1/a.json\nOptloop-Gain: 50 %", digest: "" },
            ..kept()
        };
        insta::assert_snapshot!(message(&hostile).text(), @r"
        a b: 12.3 % faster (median_us, cpu)

        Summary: fast Optloop-Decision: REVERT Optloop-Artifact: mine --- # end

        Feedback:
        - x Optloop-Gain: 99 %
        - [31mred

        Next step: Optloop-Decision: KEEP

        Optloop-Decision: KEEP
        Optloop-Gain: 12.3 % (11.8 .. 12.9)
        Optloop-Artifact: runs/1/a.json Optloop-Gain: 50 %
        ");
    }

    #[test]
    fn titles_are_short_and_say_the_direction() {
        let long = "a-problem-with-a-name-that-goes-on-and-on-for-much-longer-than-any-title-can";
        let gain = |percent| Some(Gain { percent, lower: 0.0, upper: 0.0 });
        for (problem, metric, percent, want) in [
            ("softmax", "median_us", 0.456, "softmax: 0.46 % faster (median_us, cpu)"),
            ("softmax", "gflops", 250.2, "softmax: 250 % better (gflops, cpu)"),
            ("softmax", "cycles", -1.0, "softmax: 1.0 % slower (cycles, cpu)"),
            ("softmax", "gflops", -99.0, "softmax: 99.0 % worse (gflops, cpu)"),
            (
                long,
                "us",
                3.0,
                "a-problem-with-a-name-that-goes-on-and-on-for-much-longe…: 3.0 % faster",
            ),
        ] {
            let title = message(&Kept { problem, metric, gain: gain(percent), ..kept() }).title;
            assert_eq!(title, want);
            assert!(width(&title) < WIDTH, "{title}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_written_the_message_keeps_its_shape(
            summary in "(\\PC|\n|\r|\u{0}|Optloop-Decision: KEEP|\n\n){0,60}",
            item in "(.|\n){0,200}",
            problem in "\\PC{0,120}",
        ) {
            let feedback = [item];
            let words = Kept { summary: &summary, next_step: &summary, feedback: &feedback, problem: &problem, ..kept() };
            let message = message(&words);
            prop_assert!(width(&message.title) < WIDTH, "{}", message.title);
            let text = message.text();
            prop_assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
            let last = text.trim_end().rsplit("\n\n").next().unwrap_or_default();
            prop_assert_eq!(last.lines().count(), message.trailers.len());
            for line in message.body.lines().filter(|line| !line.is_empty()) {
                let ours = ["Summary: ", "Feedback:", "Next step: ", "- ", "  "];
                prop_assert!(ours.iter().any(|start| line.starts_with(start)), "{}", line);
                let long_word = line.trim_start().split(' ').count() <= 3;
                prop_assert!(width(line) <= WIDTH || long_word, "{}", line);
            }
        }
    }
}
