//! A command through which others are run: in a container, on another machine.

use std::path::Path;

/// The words of that command, in which some stand for what is run.
///
/// `{tree}` is the copy of the project that a command runs in, `{cwd}` its folder there, `{scratch}` a
/// folder that it may write to, `{user}` the numbers of the user and group that run optloop, as
/// `1000:1000`. A word `{env}` becomes `--env NAME` for each variable that a stage gives it. The
/// command itself comes behind the last word.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Launcher(Vec<String>);

/// What a command is run with.
#[derive(Debug, Clone, Copy)]
pub struct Launched<'a> {
    /// The copy of the project, absolute.
    pub tree: &'a Path,
    /// The folder that it runs in, absolute.
    pub cwd: &'a Path,
    /// A folder that it may write to, absolute.
    pub scratch: &'a Path,
    /// The names of variables that were given to it.
    pub env: &'a [String],
}

/// Stands for the variables, as a word of its own.
const ENV: &str = "{env}";

impl Launcher {
    /// Of these words; none where there are none.
    pub fn of(words: &[String]) -> Option<Self> {
        (!words.is_empty()).then(|| Self(words.to_vec()))
    }

    /// The first word of a text that stands for nothing; none where all do.
    pub fn mistake(word: &str) -> Option<&str> {
        let mut rest = word;
        while let Some(at) = rest.find('{') {
            let name = &rest[at..];
            let end = name.find('}').map_or(name.len(), |end| end + 1);
            let name = &name[..end];
            let is_known =
                ["{tree}", "{cwd}", "{scratch}", "{user}"].contains(&name) || word == ENV;
            if !is_known {
                return Some(name);
            }
            rest = &rest[at + end..];
        }
        None
    }

    /// The words in front of a command.
    pub fn words(&self, launched: Launched<'_>) -> Vec<String> {
        let mut words = Vec::new();
        for word in &self.0 {
            if word == ENV {
                let named = launched.env.iter();
                words.extend(named.flat_map(|name| ["--env".to_owned(), name.clone()]));
                continue;
            }
            let places = [
                ("{tree}", launched.tree),
                ("{cwd}", launched.cwd),
                ("{scratch}", launched.scratch),
            ];
            let put = |text: String, (name, place): (&str, &Path)| {
                text.replace(name, &place.to_string_lossy())
            };
            let user = rustix::process::getuid().as_raw();
            let user = format!("{user}:{}", rustix::process::getgid().as_raw());
            words.push(places.into_iter().fold(word.replace("{user}", &user), put));
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_variables_are_put_where_they_are_named() {
        let words = ["docker", "run", "-v", "{tree}:{tree}:ro", "-w", "{cwd}", "{env}", "image"];
        let launcher = Launcher::of(&words.map(str::to_owned)).expect("words");
        let env = ["A".to_owned(), "B".to_owned()];
        let (tree, cwd) = (Path::new("/t"), Path::new("/t/sub"));
        let launched = Launched { tree, cwd, scratch: Path::new("/s"), env: &env };
        let wanted = "docker run -v /t:/t:ro -w /t/sub --env A --env B image";
        assert_eq!(launcher.words(launched).join(" "), wanted);
        assert_eq!(Launcher::of(&[]), None);
    }

    #[test]
    fn a_name_that_stands_for_nothing_is_found() {
        for (word, wrong) in [
            ("{tree}:{tree}:ro", None),
            ("{env}", None),
            ("x{env}", Some("{env}")),
            ("{tre}/x", Some("{tre}")),
            ("{tree}/{", Some("{")),
            ("plain", None),
        ] {
            assert_eq!(Launcher::mistake(word), wrong, "{word}");
        }
    }
}
