//! Stage presets: those compiled in, and a project's own, which replace them file by file.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file::StageFile;
use super::findings::{Findings, join};
use crate::diagnostic::{Diagnostic, Source, document, nearest};
use crate::host::Host;

/// Presets of this program, by name.
pub const BUILT_IN: [(&str, &str); 6] = [
    ("smoke", include_str!("../../stages/smoke.toml")),
    ("candidate", include_str!("../../stages/candidate.toml")),
    ("final", include_str!("../../stages/final.toml")),
    ("leaderboard", include_str!("../../stages/leaderboard.toml")),
    ("profile", include_str!("../../stages/profile.toml")),
    ("calibrate", include_str!("../../stages/calibrate.toml")),
];

/// Finds presets by name and reads each once.
pub(super) struct Presets<'a> {
    host: &'a dyn Host,
    /// The project's own folder: `stages` beside the pipeline, or beside the pipeline's folder.
    pub(super) dir: PathBuf,
    own: Vec<String>,
    read: BTreeMap<String, Option<StageFile>>,
    /// The project's files that were read.
    pub(super) paths: Vec<PathBuf>,
}

impl<'a> Presets<'a> {
    pub(super) fn new(pipeline_dir: &Path, host: &'a dyn Host) -> Self {
        let beside = join(pipeline_dir, "stages");
        let above = join(pipeline_dir, "../stages");
        let dir = if host.list(&beside).is_empty() { above } else { beside };
        let own = host.list(&dir).into_iter();
        let own = own.filter_map(|name| Some(name.strip_suffix(".toml")?.to_owned())).collect();
        Self { host, dir, own, read: BTreeMap::new(), paths: Vec::new() }
    }

    /// Every name, the project's own first.
    pub(super) fn names(&self) -> Vec<&str> {
        let built_in = BUILT_IN.iter().map(|(name, _)| *name);
        let mut names: Vec<&str> = self.own.iter().map(String::as_str).collect();
        names.extend(built_in.filter(|name| !self.own.iter().any(|own| own == name)));
        names
    }

    /// The name most like `word`.
    pub(super) fn nearest(&self, word: &str) -> Option<&str> {
        nearest(word, self.names())
    }

    /// The preset called `name`; `Ok(None)` when its file has mistakes, which are reported once.
    ///
    /// # Errors
    /// When there is none of that name.
    pub(super) fn get(
        &mut self,
        name: &str,
        findings: &mut Findings,
    ) -> Result<Option<&StageFile>, ()> {
        if !self.read.contains_key(name) {
            let preset = match self.find(name).ok_or(())? {
                Ok(source) => read(&source, findings),
                Err(error) => {
                    let path = join(&self.dir, &format!("{name}.toml"));
                    let message = format!("cannot read the preset {}: {error}", path.display());
                    findings.push(Diagnostic::new("unreadable", message));
                    None
                }
            };
            self.read.insert(name.to_owned(), preset);
        }
        Ok(self.read.get(name).and_then(Option::as_ref))
    }

    /// The text of a preset, when there is one of that name.
    fn find(&mut self, name: &str) -> Option<io::Result<Arc<Source>>> {
        if !self.own.iter().any(|own| own == name) {
            let (name, text) = BUILT_IN.iter().find(|(built_in, _)| *built_in == name)?;
            let path = format!("(built in)/stages/{name}.toml");
            return Some(Ok(Arc::new(Source::new(path, *text))));
        }
        let path = join(&self.dir, &format!("{name}.toml"));
        let text = self.host.read(&path);
        self.paths.push(path.clone());
        Some(text.map(|text| Arc::new(Source::new(path, text))))
    }
}

fn read(source: &Arc<Source>, findings: &mut Findings) -> Option<StageFile> {
    let document = document::read_overlaid::<StageFile>(source, &mut findings.map, |_| Vec::new());
    let is_good = document.diagnostics.is_empty();
    findings.list.extend(document.diagnostics);
    let mut preset = document.value.filter(|_| is_good)?;
    if let Some(other) = preset.preset.take() {
        let text = "a preset cannot start from another one";
        findings.at("preset-use", "`use` in a preset", &other.span, text);
    }
    Some(preset)
}

#[cfg(test)]
mod tests {
    use super::super::file::Kind;
    use super::*;

    #[test]
    fn every_built_in_preset_is_whole() {
        for (name, text) in BUILT_IN {
            let source = Arc::new(Source::new(name, text));
            let document = document::read::<StageFile>(&source);
            assert!(document.diagnostics.is_empty(), "{name}: {:?}", document.diagnostics);
            let preset = document.value.expect("a preset");
            let kind = preset.kind.expect("a kind").value;
            assert_eq!(kind == Kind::Bench, preset.purpose.is_some(), "{name}");
            assert!(preset.description.is_some() && preset.timeout.is_some(), "{name}");
        }
    }
}
