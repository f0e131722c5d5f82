//! Just enough understanding of Rust text: what is code, where functions and modules begin and end.

/// A copy of `text` with comments and the insides of strings and characters blanked out; every
/// line and column stays where it was (columns in characters).
pub(crate) fn code_only(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let Some(end) = literal_or_comment(&chars, at) else {
            out.push(chars[at]);
            at += 1;
            continue;
        };
        let end = end.min(chars.len());
        out.extend(chars[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    out
}

/// The end of the comment, string or character that begins at `at`, if one does.
fn literal_or_comment(chars: &[char], at: usize) -> Option<usize> {
    let rest = &chars[at..];
    let word_before = at > 0 && is_word(chars[at - 1]);
    match rest {
        ['/', '/', ..] => Some(at + rest.iter().position(|&c| c == '\n').unwrap_or(rest.len())),
        ['/', '*', ..] => Some(block_comment_end(chars, at)),
        ['"', ..] => Some(string_end(chars, at + 1)),
        ['b' | 'c', '"', ..] if !word_before => Some(string_end(chars, at + 2)),
        ['r', '"' | '#', ..] if !word_before => raw_string_end(chars, at + 1),
        ['b' | 'c', 'r', '"' | '#', ..] if !word_before => raw_string_end(chars, at + 2),
        ['\'', '\\', ..] => {
            let close = rest.iter().skip(3).position(|&c| c == '\'')?;
            Some(at + 3 + close + 1)
        }
        ['\'', _, '\'', ..] => Some(at + 3),
        _ => None,
    }
}

fn block_comment_end(chars: &[char], start: usize) -> usize {
    let mut depth = 0;
    let mut at = start;
    while at < chars.len() {
        match chars[at..] {
            ['/', '*', ..] => {
                depth += 1;
                at += 2;
            }
            ['*', '/', ..] => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    at
}

fn string_end(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    at
}

/// `at` is behind the `r`; `None` for a raw identifier such as `r#type`.
fn raw_string_end(chars: &[char], at: usize) -> Option<usize> {
    let hashes = chars[at..].iter().take_while(|&&c| c == '#').count();
    let open = at + hashes;
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let mut end = open + 1;
    while end < chars.len() {
        let closes = chars[end] == '"'
            && chars[end + 1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes;
        end += 1;
        if closes {
            return Some(end + hashes);
        }
    }
    Some(end)
}

/// Letters, digits and `_`.
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A word, `::` or another visible character by itself, with its line (from 1).
pub(crate) type Token = (usize, String);

/// All tokens of a text.
pub(crate) fn tokens(code: &str) -> Vec<Token> {
    let mut found: Vec<Token> = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let chars: Vec<char> = line.chars().collect();
        let mut at = 0;
        while at < chars.len() {
            let length = match chars[at..] {
                [c, ..] if is_word(c) => chars[at..].iter().take_while(|&&c| is_word(c)).count(),
                [':', ':', ..] => 2,
                _ => 1,
            };
            if !chars[at].is_whitespace() {
                found.push((number + 1, chars[at..at + length].iter().collect()));
            }
            at += length;
        }
    }
    found
}

/// Something with a body in braces.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Body {
    /// What follows `fn` or `mod`.
    pub(crate) name: String,
    /// Line of the keyword.
    pub(crate) first: usize,
    /// Line of the closing brace.
    pub(crate) last: usize,
    /// It stands under `#[cfg(test)]`.
    pub(crate) test_only: bool,
}

/// All bodies that `keyword` (`fn` or `mod`) opens, nested ones too.
pub(crate) fn bodies(tokens: &[Token], keyword: &str) -> Vec<Body> {
    let word = |at: usize| tokens.get(at).map_or("", |(_, word)| word.as_str());
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        if word(at) != keyword {
            continue;
        }
        if !word(at + 1).starts_with(|c: char| c.is_alphabetic() || c == '_') {
            continue;
        }
        let Some(open) = opening_brace(tokens, at) else {
            continue;
        };
        let close = closing_brace(tokens, open);
        let before: Vec<&str> =
            (0..at).rev().map(word).take_while(|word| !matches!(*word, "{" | "}" | ";")).collect();
        found.push(Body {
            name: word(at + 1).to_owned(),
            first: tokens[at].0,
            last: tokens[close].0,
            test_only: before.windows(4).any(|four| four == [")", "test", "(", "cfg"]),
        });
    }
    found
}

/// The first `{` outside of brackets, unless a `;` comes before it.
fn opening_brace(tokens: &[Token], from: usize) -> Option<usize> {
    let mut depth = 0;
    for (at, (_, token)) in tokens.iter().enumerate().skip(from) {
        match token.as_str() {
            "(" | "[" => depth += 1,
            ")" | "]" => depth -= 1,
            "{" if depth == 0 => return Some(at),
            ";" if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

fn closing_brace(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0;
    for (at, (_, token)) in tokens.iter().enumerate().skip(open) {
        match token.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len() - 1
}

#[test]
fn comments_and_literals_are_blanked_and_code_is_not() {
    for (text, code) in [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c */ d */ e", "a                   e"),
        (r#"a("b \" c")d"#, r"a(        )d"),
        (r##"a(r#"b " c"#)d"##, r"a(          )d"),
        ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
        ("c == '\"' && d == '\\'' || e", "c ==     && d ==      || e"),
        ("let r#type = b\"x\";", "let r#type =     ;"),
    ] {
        assert_eq!(code_only(text), code, "{text}");
    }
}

#[test]
fn bodies_end_where_their_brace_does() {
    let code = "fn a(x: [u8; 2]) -> u8 {\n  if x { 1 } else { 2 }\n}\ntrait T {\n  fn b();\n}\n\
                #[cfg(test)]\nmod tests {\n  fn c() {}\n}";
    let body =
        |name: &str, first, last, test_only| Body { name: name.to_owned(), first, last, test_only };
    let tokens = tokens(code);
    assert_eq!(bodies(&tokens, "fn"), [body("a", 1, 3, false), body("c", 9, 9, false)]);
    assert_eq!(bodies(&tokens, "mod"), [body("tests", 8, 10, true)]);
}
