//! What there is one best kernel of, and where such kernels lie.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// What there is one incumbent of: a question, on a machine.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Place {
    /// The problem's name, for people.
    pub problem: String,
    /// Digest of what is computed: arguments, cases, tolerance and reference, or a command's text.
    /// All zero in what was written before there was one: no kernel is filed there any more.
    #[serde(default, skip_serializing_if = "Digest::is_none")]
    pub question: Digest,
    /// What it ran on, and on which of its cores.
    pub device: String,
    /// The metric that decides.
    pub metric: String,
    /// How the caches were before a launch, `hot` or `cold`; empty for commands.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mode: String,
}

impl Place {
    /// The folder with this place's incumbents:
    /// `best/PROBLEM-QUESTION12/DEVICE/METRIC`, with `-cold` behind it where caches were cold.
    pub fn folder(&self, state: &Path) -> PathBuf {
        let [mut problem, device, mut metric] =
            [&self.problem, &self.device, &self.metric].map(|name| file_name(name));
        if !self.question.is_none() {
            problem = format!("{problem}-{}", self.question.short());
        }
        if self.mode == "cold" {
            metric.push_str("-cold");
        }
        state.join("best").join(problem).join(device).join(metric)
    }

    /// As people read it: `softmax by median_us`, and how the caches were where they were cold.
    pub fn words(&self) -> String {
        let cold = if self.mode == "cold" { ", caches cold" } else { "" };
        format!("{} by {}{cold}", self.problem, self.metric)
    }
}

/// A name that any file system takes. One that had to be altered gets a part of its digest, so
/// that no two names share a file.
fn file_name(name: &str) -> String {
    const LONGEST: usize = 64;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let fits = !name.is_empty() && name.len() <= LONGEST && !name.starts_with('.');
    if fits && name.chars().all(plain) {
        return name.to_owned();
    }
    let cleaned: String =
        name.chars().take(LONGEST).map(|c| if plain(c) { c } else { '_' }).collect();
    let digest = Digest::of(name.as_bytes()).short();
    format!("{}-{digest}", cleaned.trim_start_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        /// Parts that two places may share or not, one by one.
        #[test]
        fn two_places_share_a_folder_only_where_they_are_one(
            one in proptest::array::uniform5(0_usize..3),
            other in proptest::array::uniform5(0_usize..3),
        ) {
            let place = |[problem, question, device, metric, mode]: [usize; 5]| Place {
                problem: ["softmax", "soft max", "softmax-0"][problem].to_owned(),
                question: Digest::of(&[question as u8]),
                device: ["cpu-1234", "cpu-all-1234", "cpu-0-1234"][device].to_owned(),
                metric: ["median_us", "min_us", "mean_us"][metric].to_owned(),
                mode: ["hot", "cold", "hot"][mode].to_owned(),
            };
            let (one, other) = (place(one), place(other));
            let folder = |place: &Place| place.folder(Path::new("/s"));
            proptest::prop_assert_eq!(folder(&one) == folder(&other), one == other);
        }
    }

    #[test]
    fn names_become_file_names_that_no_other_name_shares() {
        let long = "x".repeat(200);
        let names = ["softmax", "a/b", "a_b", "a b", "", ".", "..", ".hidden", "ü", &long];
        let cleaned: std::collections::BTreeSet<String> =
            names.iter().map(|name| file_name(name)).collect();
        assert_eq!(cleaned.len(), names.len(), "{cleaned:?}");
        for name in &cleaned {
            assert!(!name.contains('/') && !name.starts_with('.') && name.len() < 100, "{name}");
        }
        assert_eq!(file_name("softmax"), "softmax");
    }
}
