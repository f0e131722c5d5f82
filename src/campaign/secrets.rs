//! Keeps what is secret in the environment out of everything that is kept.

use aho_corasick::{AhoCorasick, MatchKind};

/// Parts of the names of variables whose values are secret.
const MARKS: [&str; 6] = ["KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL"];
/// Shorter values would be found in innocent words.
const SHORTEST: usize = 8;

/// Values that must not be written down.
#[derive(Clone, Default)]
pub struct Secrets {
    values: Vec<String>,
    /// What is written in place of each.
    names: Vec<String>,
    /// None where there is nothing to look for.
    search: Option<AhoCorasick>,
}

impl Secrets {
    /// Those of an environment.
    pub fn of<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let found = variables
            .into_iter()
            .filter(|(name, value)| Self::is_secret(name) && value.len() >= SHORTEST);
        let mut secrets = Self::default();
        for (name, value) in found {
            // Many agents print JSON.
            let quoted = serde_json::to_string(value).unwrap_or_default();
            let quoted = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
            let quoted = quoted.filter(|quoted| *quoted != value);
            for form in [value].into_iter().chain(quoted) {
                secrets.values.push(form.to_owned());
                secrets.names.push(format!("[redacted: {name}]"));
            }
        }
        if !secrets.values.is_empty() {
            let mut search = AhoCorasick::builder();
            let search = search.match_kind(MatchKind::LeftmostLongest);
            // It fails for more patterns than an environment can hold.
            secrets.search = search.build(&secrets.values).ok();
        }
        secrets
    }

    /// Whether a variable of this name holds one.
    pub fn is_secret(name: &str) -> bool {
        let name = name.to_ascii_uppercase();
        MARKS.iter().any(|mark| name.contains(mark))
    }

    /// The text with the name of each secret in its place.
    pub fn redact(&self, text: &str) -> String {
        match &self.search {
            Some(search) => search.replace_all(text, &self.names),
            None => text.to_owned(),
        }
    }

    /// The same for text that comes in pieces, whose borders may lie within a secret.
    pub fn redacting(&self) -> Redacting {
        Redacting { secrets: self.clone(), held: Vec::new() }
    }

    /// Where the first secret may begin that has not come to its end.
    fn unfinished(&self, bytes: &[u8]) -> usize {
        let longest = self.values.iter().map(String::len).max().unwrap_or_default();
        let first = bytes.len().saturating_sub(longest.saturating_sub(1));
        let begins = |at: &usize| {
            let rest = &bytes[*at..];
            let is_begun =
                |value: &String| value.len() > rest.len() && value.as_bytes().starts_with(rest);
            self.values.iter().any(is_begun)
        };
        (first..bytes.len()).find(begins).unwrap_or(bytes.len())
    }
}

/// Text that comes in pieces.
#[derive(Clone)]
pub struct Redacting {
    secrets: Secrets,
    /// The end of what has come, as long as it may be the beginning of a secret.
    held: Vec<u8>,
}

impl Redacting {
    /// Takes a piece; what can be written down by now.
    pub fn next(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        let mut ready = Vec::with_capacity(self.held.len());
        let taken = self.take(&mut ready);
        self.held.drain(..taken);
        ready
    }

    /// What was held back, at the end of the text.
    pub fn rest(&mut self) -> Vec<u8> {
        let rest = std::mem::take(&mut self.held);
        match &self.secrets.search {
            Some(search) => search.replace_all_bytes(&rest, &self.secrets.names),
            None => rest,
        }
    }

    /// Appends what is sure; how much of what is held that was.
    fn take(&self, ready: &mut Vec<u8>) -> usize {
        let mut at = 0;
        let Some(search) = &self.secrets.search else {
            ready.extend_from_slice(&self.held);
            return self.held.len();
        };
        loop {
            let rest = &self.held[at..];
            let unfinished = self.secrets.unfinished(rest);
            // A longer one may begin where a shorter one has ended.
            let found = search.find(rest).filter(|found| found.start() < unfinished);
            let Some(found) = found else {
                ready.extend_from_slice(&rest[..unfinished]);
                return at + unfinished;
            };
            ready.extend_from_slice(&rest[..found.start()]);
            ready.extend_from_slice(self.secrets.names[found.pattern().as_usize()].as_bytes());
            at += found.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    #[test]
    fn a_secret_is_known_as_json_writes_it_too() {
        let secrets = Secrets::of([("PRIVATE_KEY", "line one\nline \"two\"")]);
        let printed = r#"{"text": "line one\nline \"two\""}"#;
        assert_eq!(secrets.redact(printed), r#"{"text": "[redacted: PRIVATE_KEY]"}"#);
    }

    proptest! {
        /// Wherever text is cut, what comes out is what the whole text would give.
        #[test]
        fn pieces_are_redacted_as_the_whole_is(
            text in "(ab|abcabcab|abcabcabd|bcabcabdx|c|x){0,40}",
            cuts in proptest::collection::vec(1_usize..9, 1..60),
        ) {
            let secrets = Secrets::of([
                ("A_KEY", "abcabcab"),
                ("B_KEY", "abcabcabdabc"),
                ("C_KEY", "bcabcabdx"),
            ]);
            let mut redacting = secrets.redacting();
            let (mut out, mut rest) = (Vec::new(), text.as_bytes());
            for cut in cuts.iter().cycle() {
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                out.extend(redacting.next(piece));
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            out.extend(redacting.rest());
            prop_assert_eq!(String::from_utf8(out).expect("text"), secrets.redact(&text));
        }
    }
}
