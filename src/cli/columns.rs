//! Names and values in two columns, for a terminal of 80.

/// A number as short as six digits allow.
pub(super) fn number(value: f64) -> String {
    let magnitude = value.abs();
    if value.fract() == 0.0 && magnitude < 1e15 {
        return format!("{value}");
    }
    if !(1e-3..1e6).contains(&magnitude) {
        return format!("{value:.3e}");
    }
    let before = magnitude.log10().floor().max(0.0) as usize + 1;
    let digits = 6usize.saturating_sub(before);
    let text = format!("{value:.digits$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Names and values in two columns of 80 characters together; longer values go on below.
pub(super) fn pairs(rows: &[(String, String)]) -> String {
    const WIDTH: usize = 80;
    let longest = rows.iter().map(|(n, _)| n.chars().count()).max().unwrap_or(0).min(34);
    let room = WIDTH - 4 - longest;
    let mut text = String::new();
    for (name, value) in rows {
        let mut name = format!("  {name:<longest$}  ");
        if name.chars().count() > longest + 4 {
            text += name.trim_end();
            text.push('\n');
            name = " ".repeat(longest + 4);
        }
        for line in wrapped(value, room) {
            text += (name.clone() + &line).trim_end();
            text.push('\n');
            name = " ".repeat(longest + 4);
        }
    }
    text
}

/// Broken at blanks where there are any.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_inclusive([' ', '\n']) {
        let mut letters: Vec<char> = word.chars().collect();
        while !letters.is_empty() {
            let last = lines.len() - 1;
            let used = lines[last].chars().count();
            if used > 0 && used + word.trim_end().chars().count().min(width) > width {
                lines.push(String::new());
                continue;
            }
            let rest = letters.split_off(letters.len().min(width - used));
            lines[last].extend(letters.iter().filter(|c| **c != '\n'));
            if letters.last() == Some(&'\n') {
                lines.push(String::new());
            }
            letters = rest;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_keep_their_size() {
        for (value, text) in
            [(3.0, "3"), (235.153_629, "235.154"), (0.5, "0.5"), (1.0e-7, "1.000e-7"), (0.0, "0")]
        {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn no_text_is_lost_when_it_is_broken() {
        for text in ["", "a", "a bb ccc", &"x".repeat(50), "one two\nthree"] {
            let lines = wrapped(text, 7);
            assert!(lines.iter().all(|l| l.trim_end().chars().count() <= 7), "{lines:?}");
            let without = |t: &str| t.replace([' ', '\n'], "");
            assert_eq!(without(&lines.concat()), without(text));
        }
    }
}
