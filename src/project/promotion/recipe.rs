//! How a pipeline's files say that its kernel is built, held against how one was built.

use crate::pipeline::CompileWork;

/// What the pipeline's files say, without what the command line changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recipe {
    /// The pipeline file and its presets, as far as they are the project's, below the root.
    pub files: Vec<String>,
    /// How the stage is compiled; several where it takes a point of a matrix to say, and then those
    /// that other stages say.
    pub written: Vec<CompileWork>,
    /// The same by the last commit's files; none where these do not say.
    pub committed: Vec<CompileWork>,
}

impl Recipe {
    /// What a kernel was built with that the files do not say.
    pub(super) fn unsaid(&self, built: &CompileWork) -> Vec<String> {
        unsaid(built, &self.written)
    }

    /// Whether the last commit's files say it all.
    pub(super) fn is_committed(&self, built: &CompileWork) -> bool {
        !self.committed.is_empty() && unsaid(built, &self.committed).is_empty()
    }

    /// The pipeline file, as people call it.
    pub(super) fn name(&self) -> &str {
        self.files.first().map_or("the pipeline file", String::as_str)
    }
}

fn unsaid(built: &CompileWork, said: &[CompileWork]) -> Vec<String> {
    let each: Vec<Vec<String>> = said.iter().map(|said| differences(built, said)).collect();
    match each.iter().find(|differences| differences.is_empty()) {
        Some(_) => Vec::new(),
        None => each.into_iter().next().unwrap_or_else(|| vec!["a point of a matrix".to_owned()]),
    }
}

/// What one way to compile has that the other has not, as it is written.
pub(super) fn differences(built: &CompileWork, said: &CompileWork) -> Vec<String> {
    let mut found = Vec::new();
    let named =
        |value: &str| if value.is_empty() { "the default".into() } else { value.to_owned() };
    for (key, built, said) in [("cc", &built.cc, &said.cc), ("arch", &built.arch, &said.arch)] {
        if built != said {
            found.push(format!("{key} = {}", named(built)));
        }
    }
    if built.host != said.host {
        found.push(format!("host = {}", built.host));
    }
    found.extend(lists("flag", &built.flags, &said.flags));
    found.extend(lists("include folder", &built.include_dirs, &said.include_dirs));
    let defined =
        built.defines.iter().filter(|(name, value)| said.defines.get(*name) != Some(value));
    found.extend(defined.map(|(name, value)| format!("define.{name}={value}")));
    let left_out = said.defines.keys().filter(|name| !built.defines.contains_key(*name));
    found.extend(left_out.map(|name| format!("no define.{name}")));
    found
}

fn lists(what: &str, built: &[String], said: &[String]) -> Vec<String> {
    let missing = |these: &[String], those: &[String]| -> Vec<String> {
        let mut left = those.to_vec();
        let mut is_new = |one: &&String| match left.iter().position(|other| other == *one) {
            Some(at) => {
                left.remove(at);
                false
            }
            None => true,
        };
        these.iter().filter(|one| is_new(one)).cloned().collect()
    };
    let more = missing(built, said).into_iter().map(|one| format!("the {what} {one}"));
    let less = missing(said, built).into_iter().map(|one| format!("no {what} {one}"));
    let mut found: Vec<String> = more.chain(less).collect();
    if found.is_empty() && built != said {
        found.push(format!("the {what}s in another order: {}", built.join(" ")));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(flags: &[&str], defines: &[(&str, &str)]) -> CompileWork {
        CompileWork {
            cc: String::new(),
            flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
            defines: defines.iter().map(|&(n, v)| (n.to_owned(), v.to_owned())).collect(),
            include_dirs: Vec::new(),
            arch: String::new(),
            host: false,
            layouts: 8,
            timeout_ms: 0,
        }
    }

    #[test]
    fn what_is_not_said_is_named_as_it_would_be_written() {
        let said = way(&["-O3", "-g", "-O3"], &[("BLOCK", "64"), ("OLD", "1")]);
        let built = way(&["-O3", "-O3", "-ffast-math"], &[("BLOCK", "128"), ("NEW", "2")]);
        let found = differences(&built, &said);
        let wanted = [
            "the flag -ffast-math",
            "no flag -g",
            "define.BLOCK=128",
            "define.NEW=2",
            "no define.OLD",
        ];
        assert_eq!(found, wanted);
        assert_eq!(differences(&said, &said), [""; 0]);
        let turned = way(&["-g", "-O3", "-O3"], &[("BLOCK", "64"), ("OLD", "1")]);
        assert_eq!(differences(&turned, &said), ["the flags in another order: -g -O3 -O3"]);
        let clang = CompileWork { cc: "clang".to_owned(), ..said.clone() };
        assert_eq!(differences(&clang, &said), ["cc = clang"]);
        assert_eq!(differences(&said, &clang), ["cc = the default"]);
    }

    #[test]
    fn one_of_several_ways_is_enough() {
        let ways = [way(&["-O1"], &[]), way(&["-O2"], &[])];
        let recipe = Recipe { written: ways.to_vec(), ..Recipe::default() };
        assert_eq!(recipe.unsaid(&ways[1]), [""; 0]);
        assert_eq!(recipe.unsaid(&way(&["-O3"], &[])), ["the flag -O3", "no flag -O1"]);
        assert!(!recipe.is_committed(&ways[0]), "nothing is known of the last commit");
    }
}
