//! What a project adds to prompts: a template, and what agents must heed.

use std::io;
use std::path::{Path, PathBuf};

use super::template::Template;
use crate::campaign::file::DirectivePreset;
use crate::campaign::settings::AgentSettings;
use crate::diagnostic::Diagnostic;

/// How prompts are made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asking {
    /// Their text.
    pub template: Template,
    /// What must be heeded, in the order of the campaign file.
    pub directives: Vec<String>,
}

/// Why prompts cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum AskingError {
    /// A file cannot be read.
    #[error("cannot read {path}, which [agent] names: {source}", path = path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The template cannot be filled in.
    #[error("the template of the prompt cannot be filled in")]
    Template(Vec<Diagnostic>),
}

impl Asking {
    /// What a campaign file asks for; its files are named from its folder.
    ///
    /// # Errors
    /// When a file cannot be read, or the template cannot be filled in.
    pub fn load(
        settings: &AgentSettings,
        folder: &Path,
        read: &dyn Fn(&Path) -> io::Result<String>,
    ) -> Result<Self, AskingError> {
        let text = |name: &String| {
            let path = folder.join(name);
            read(&path).map_err(|source| AskingError::Unreadable { path, source })
        };
        let template = match &settings.template {
            Some(name) => Template::new(name.into(), text(name)?),
            None => Template::default(),
        };
        let mistakes = template.mistakes();
        if !mistakes.is_empty() {
            return Err(AskingError::Template(mistakes));
        }
        let mut directives: Vec<String> =
            settings.presets.iter().map(|preset| preset.text().to_owned()).collect();
        directives.extend(settings.directives.iter().cloned());
        for name in &settings.directive_files {
            directives.push(text(name)?);
        }
        let directives = directives.iter().map(|text| text.trim().to_owned()).collect();
        Ok(Self { template, directives })
    }
}

impl DirectivePreset {
    /// What it demands.
    fn text(self) -> &'static str {
        match self {
            Self::Structural => include_str!("structural.md"),
        }
    }
}
