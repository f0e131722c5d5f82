//! A campaign file with what it names, as a campaign is begun or taken up with it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::which::{shown, unwritable};
use crate::campaign::agent::Surroundings;
use crate::campaign::prompt::{Asking, AskingError};
use crate::campaign::secrets::Secrets;
use crate::campaign::settings::given::{Given, Setting};
use crate::campaign::settings::{self, Settings};
use crate::cli::exit::Exit;
use crate::cli::refusal::Refusal;
use crate::host::Host;
use crate::pipeline::Overrides;
use crate::project::Project;
use crate::project::host::Disk;

/// A campaign that may run.
pub(super) struct Ready {
    pub(super) settings: Settings,
    pub(super) project: Project<'static>,
    /// The campaign file, absolute.
    pub(super) file: PathBuf,
    /// The pipeline, below the root.
    pub(super) pipeline: PathBuf,
    pub(super) approved: Vec<String>,
    /// What command line and environment gave.
    pub(super) given: Given,
    /// Every setting with its source.
    pub(super) sources: Vec<Setting>,
}

/// Reads the campaign file, and finds what it names.
pub(super) fn ready(file: &Path, approved: &[String], given: Given) -> Result<Ready, Refusal> {
    let shown_file = shown(file);
    let text = Disk.read(file).map_err(|e| {
        let what = format!("cannot read the campaign file {}: {e}", shown_file.display());
        let hint = "name one: `optloop loop start FILE`; `optloop init --campaign` writes one";
        let hint = hint.to_owned();
        Refusal::Words(what, Some(hint), Exit::User)
    })?;
    let sources = settings::given::settings(&text, &given);
    let loaded = settings::load_with(&shown_file, text, &given);
    let mut settings = loaded.settings.ok_or(Refusal::Diagnostics(loaded.diagnostics))?;
    let file = file.canonicalize().map_err(|e| unwritable(file, &e))?;
    let folder = file.parent().unwrap_or(Path::new("/"));
    let beside = folder.join(&settings.pipeline);
    let named = if beside.is_file() {
        beside.to_string_lossy().into_owned()
    } else {
        settings.pipeline.clone()
    };
    let project = Project::find(&named, &Disk)?;
    if settings.patterns.edit.is_empty() {
        settings.patterns.edit = project.kernel(&Overrides::default()).unwrap_or_default();
    }
    if settings.patterns.edit.is_empty() {
        let what = "the pipeline names no kernel, so nothing may be edited".to_owned();
        let hint = "name the files: [scope] edit = [\"…\"]".to_owned();
        return Err(Refusal::Words(what, Some(hint), Exit::User));
    }
    settings.patterns.approved = approved.to_vec();
    let read = |path: &Path| Disk.read(path);
    settings.asking =
        Asking::load(&settings.agent, folder, &read).map_err(|error| match error {
            AskingError::Template(mistakes) => Refusal::Diagnostics(mistakes),
            AskingError::Unreadable { .. } => Refusal::Words(error.to_string(), None, Exit::User),
        })?;
    let name = project.file.file_name().unwrap_or_default();
    let place = project.dir.join(name);
    let pipeline = place.strip_prefix(&project.root).map(Path::to_owned).map_err(|_| {
        let what = format!("{} lies outside of its project", place.display());
        Refusal::Words(what, None, Exit::User)
    })?;
    let approved = approved.to_vec();
    Ok(Ready { settings, project, file, pipeline, approved, given, sources })
}

/// What agents and guards get from this process.
pub(super) fn surroundings(ready: &Ready) -> Surroundings {
    let env = Disk.vars();
    let text = |(name, value): &(OsString, OsString)| {
        Some((name.to_str()?.to_owned(), value.to_str()?.to_owned()))
    };
    let texts: Vec<(String, String)> = env.iter().filter_map(text).collect();
    Surroundings {
        secrets: Secrets::of(texts.iter().map(|(name, value)| (&name[..], &value[..]))),
        env,
        program: Disk.program().to_owned(),
        dir: ready.file.parent().unwrap_or(Path::new("/")).to_owned(),
    }
}
