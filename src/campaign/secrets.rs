//! Keeps what is secret in the environment out of everything that is kept.

/// Parts of the names of variables whose values are secret.
const MARKS: [&str; 6] = ["KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL"];
/// Shorter values would be found in innocent words.
const SHORTEST: usize = 8;

/// Values that must not be written down.
#[derive(Clone, Default)]
pub struct Secrets {
    /// Longest first: one may be part of another.
    values: Vec<(String, String)>,
}

impl Secrets {
    /// Those of an environment.
    pub fn of<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let found = variables
            .into_iter()
            .filter(|(name, value)| Self::is_secret(name) && value.len() >= SHORTEST);
        let mut values: Vec<(String, String)> =
            found.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        values.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        Self { values }
    }

    /// Whether a variable of this name holds one.
    pub fn is_secret(name: &str) -> bool {
        let name = name.to_ascii_uppercase();
        MARKS.iter().any(|mark| name.contains(mark))
    }

    /// The text with the name of each secret in its place.
    pub fn redact(&self, text: &str) -> String {
        let redacted = |text: String, (name, value): &(String, String)| {
            if text.contains(value.as_str()) {
                text.replace(value.as_str(), &format!("[redacted: {name}]"))
            } else {
                text
            }
        };
        self.values.iter().fold(text.to_owned(), redacted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_the_names_of_their_variables() {
        let secrets = Secrets::of([
            ("MY_API_KEY", "sk-123456789"),
            ("LONG_TOKEN", "sk-123456789-and-more"),
            ("PATH", "/usr/bin:/bin"),
            ("SORT_KEY", "name"),
        ]);
        assert_eq!(
            secrets.redact("a sk-123456789 b sk-123456789-and-more c /usr/bin:/bin name"),
            "a [redacted: MY_API_KEY] b [redacted: LONG_TOKEN] c /usr/bin:/bin name"
        );
    }
}
