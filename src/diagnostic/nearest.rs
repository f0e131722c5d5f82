//! "Did you mean".

/// The name most like `word`, if one is near enough to be a slip of the fingers: at most about a
/// third of the letters changed. Case and `-` against `_` do not count.
pub fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = fold(word);
    let limit = (plain.chars().count() / 3).max(1);
    names
        .into_iter()
        .filter(|name| name.len().abs_diff(word.len()) <= 4 * limit)
        .map(|name| (strsim::damerau_levenshtein(&plain, &fold(name)), name))
        .filter(|(distance, name)| *distance <= limit && *distance < name.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

fn fold(word: &str) -> String {
    word.to_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_are_near_and_other_words_are_not() {
        let names = ["retries", "repeats", "run", "use", "timeout"];
        for (word, want) in [
            ("retires", Some("retries")),
            ("repeat", Some("repeats")),
            ("Timeout", Some("timeout")),
            ("time-out", Some("timeout")),
            ("ues", Some("use")),
            ("launches", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, names), want, "{word}");
        }
    }
}
