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

/// Columns of a terminal that nothing here is wider than.
pub(super) const WIDTH: usize = 80;

/// Names and values in two columns of 80 characters together; longer values go on below.
pub(super) fn pairs(rows: &[(String, String)]) -> String {
    let longest = rows.iter().map(|(n, _)| n.chars().count()).max().unwrap_or(0).min(34);
    let room = WIDTH - 4 - longest;
    let mut text = String::new();
    for (name, value) in rows {
        let mut first = format!("  {name:<longest$}  ");
        if first.chars().count() > longest + 4 {
            for line in wrapped(name, WIDTH - 2) {
                text += &format!("  {}\n", line.trim_end());
            }
            first = " ".repeat(longest + 4);
        }
        for line in wrapped(&clean(value), room) {
            text += (first.clone() + &line).trim_end();
            text.push('\n');
            first = " ".repeat(longest + 4);
        }
    }
    text
}

/// A text broken at blanks, each line this far in.
pub(super) fn paragraph(text: &str, indent: usize) -> String {
    let lines = wrapped(clean(text).trim_end(), WIDTH - indent);
    lines.iter().map(|line| (" ".repeat(indent) + line).trim_end().to_owned() + "\n").collect()
}

/// Lines as they are, two blanks in; what is too long goes on below, four further in.
pub(super) fn block(text: &str) -> String {
    let mut out = String::new();
    for line in clean(text).trim_end().lines() {
        let letters: Vec<char> = line.chars().collect();
        let (first, rest) = letters.split_at(letters.len().min(WIDTH - 2));
        let parts = std::iter::once((2, first)).chain(rest.chunks(WIDTH - 6).map(|c| (6, c)));
        for (indent, part) in parts {
            let part: String = part.iter().collect();
            out += (" ".repeat(indent) + &part).trim_end();
            out.push('\n');
        }
    }
    out
}

/// Rows below their header, two blanks in: names on the left, numbers on the right. A name that
/// leaves the numbers no room stands on a line of its own.
pub(super) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let count = |text: &str| text.chars().count();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|c| count(c));
        cells.chain(header.get(column).map(|h| count(h))).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (1..header.len()).map(width).collect();
    let numbers: usize = widths.iter().map(|w| w + 2).sum();
    let name = width(0).min(WIDTH.saturating_sub(2 + numbers));
    let mut text = String::new();
    let mut line = |cells: &[&str]| {
        let label = cells.first().copied().unwrap_or_default();
        let mut line = format!("  {label:<name$}");
        if count(label) > name {
            text += &paragraph(label, 2);
            line = " ".repeat(2 + name);
        }
        for (cell, width) in cells.iter().skip(1).zip(&widths) {
            line += &format!("  {cell:>width$}");
        }
        text += line.trim_end();
        text.push('\n');
    };
    line(header);
    for row in rows {
        line(&row.iter().map(String::as_str).collect::<Vec<_>>());
    }
    text
}

/// A text cut to a width, with a mark where it was cut.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(2)).chain("..".chars()).collect()
}

/// Without what would move the cursor or colour the terminal; tabs are blanks.
pub(super) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\n' => out.push('\n'),
            '\t' => out += "    ",
            // ECMA-48: a control sequence ends with a letter from `@` to `~`.
            '\x1b' if letters.next_if_eq(&'[').is_some() => {
                while letters.next().is_some_and(|l| !('@'..='~').contains(&l)) {}
            }
            letter if letter.is_control() => {}
            letter => out.push(letter),
        }
    }
    out
}

/// Broken at blanks where there are any.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
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
            let mut rest = letters.split_off(letters.len().min(width - used));
            // A blank that ends a full line does not begin the next.
            if rest.iter().all(|c| c.is_whitespace()) {
                letters.append(&mut rest);
            }
            let letters_of_line = letters.iter().filter(|c| **c != '\n');
            lines[last].extend(letters_of_line.take(width - used));
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
    fn nothing_is_wider_than_the_terminal_and_nothing_is_lost() {
        let long = "x".repeat(200);
        let cells = |label: &str| vec![label.to_owned(), "12.3 us".to_owned(), "1 .. 2".to_owned()];
        let texts = [
            pairs(&[(long.clone(), long.clone()), ("n".to_owned(), "a b".repeat(90))]),
            paragraph(&long, 4),
            block(&format!("{long}\n+\t{long}\n")),
            table(&["case", "median", "interval"], &[cells("n=1"), cells(&long)]),
        ];
        for text in texts {
            let wide: Vec<&str> = text.lines().filter(|l| l.chars().count() > WIDTH).collect();
            assert_eq!(wide, Vec::<&str>::new());
            assert!(text.lines().all(|l| l == l.trim_end()), "{text:?}");
            assert!(text.matches('x').count() == 0 || text.matches('x').count() % 200 == 0);
        }
    }

    #[test]
    fn numbers_stand_below_their_header_on_the_right() {
        let rows = [("a", "1"), ("long name", "200")].map(|(n, v)| vec![n.into(), v.into()]);
        assert_eq!(
            table(&["case", "us"], &rows),
            "  case        us\n  a            1\n  long name  200\n"
        );
    }

    #[test]
    fn colours_and_bells_do_not_reach_the_terminal() {
        assert_eq!(clean("\x1b[1;31mred\x1b[0m\x07\r\n\tx"), "red\n    x");
        assert_eq!((cut("abcdef", 6), cut("abcdefg", 6)), ("abcdef".into(), "abcd..".into()));
    }

    #[test]
    fn no_text_is_lost_when_it_is_broken() {
        assert_eq!(wrapped("aaa bbb ccc", 7), ["aaa bbb", "ccc"]);
        assert_eq!(wrapped("aaa bbb\nccc", 7), ["aaa bbb", "ccc"]);
        for text in ["", "a", "a bb ccc", &"x".repeat(50), "one two\nthree", "1234567  8"] {
            let lines = wrapped(text, 7);
            assert!(lines.iter().all(|l| l.trim_end().chars().count() <= 7), "{lines:?}");
            let without = |t: &str| t.replace([' ', '\n'], "");
            assert_eq!(without(&lines.concat()), without(text));
        }
    }
}
