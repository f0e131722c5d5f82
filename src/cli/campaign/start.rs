//! Starting a campaign, and taking one up.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::given::given;
use super::held;
use super::live::Live;
use super::which::{chosen, shown, unwritable};
use super::words;
use crate::campaign::agent::{self, Surroundings};
use crate::campaign::announce::Announcing;
use crate::campaign::driver::{Driver, DriverError, Observer, Parts, Ran};
use crate::campaign::event::{Begun, Entry};
use crate::campaign::file::{AgentSandbox, Dirty};
use crate::campaign::history::History;
use crate::campaign::hold::Place;
use crate::campaign::pipeline_judge::PipelineJudge;
use crate::campaign::prompt::{Asking, AskingError, Brief};
use crate::campaign::secrets::Secrets;
use crate::campaign::settings::given::{Given, Setting};
use crate::campaign::settings::{self, AgentKind, Settings};
use crate::campaign::store::{ABOUT_VERSION, About, Driven, Stored};
use crate::campaign::trees::Source;
use crate::cli::args::{Format, StartArgs, WhichCampaign};
use crate::cli::exit::{self, Exit};
use crate::cli::refusal::Refusal;
use crate::cli::ui::Ui;
use crate::engine::EngineError;
use crate::git::{Outside, State};
use crate::host::{Host, WithVariable};
use crate::pipeline::Overrides;
use crate::process::hold::HELD;
use crate::process::{self, Cancel, sandbox};
use crate::project::host::Disk;
use crate::project::{Access, Project};

/// A campaign that may run.
struct Ready {
    settings: Settings,
    project: Project<'static>,
    /// The campaign file, absolute.
    file: PathBuf,
    /// The pipeline, below the root.
    pipeline: PathBuf,
    approved: Vec<String>,
    /// What command line and environment gave.
    given: Given,
    /// Every setting with its source.
    sources: Vec<Setting>,
}

/// Starts one; one of the same name that has not ended is taken up.
pub(super) fn start(args: &StartArgs, ui: &Ui) -> Result<Exit, Refusal> {
    let given = given(args)?;
    let file = Path::new(&args.file);
    let ready = ready(file, &args.approve, given.clone())?;
    let state = ready.project.state();
    let mut all = Stored::all(&state);
    all.retain(|stored| stored.is_called(&ready.settings.name) && !has_ended(stored));
    if let Some(unfinished) = all.pop() {
        ui.note(&format!("note: {} has not ended: taking it up", unfinished.id));
        let ready = taken_up(&unfinished, file, given)?;
        if args.dry_run {
            return Ok(dry_run(&ready, ui));
        }
        return drive(&unfinished, &ready, Begin::Again, ui);
    }
    // Mistakes of the pipeline are shown as every command shows them.
    drop(ready.project.open(Overrides::default(), Access::Read, &[ui])?);
    let head = preconditions(&ready)?;
    if args.dry_run {
        return Ok(dry_run(&ready, ui));
    }
    Stored::remove_unbegun(&state);
    let stored = Stored::new(&state, &ready.settings.name, jiff::Timestamp::now());
    let about = About {
        version: ABOUT_VERSION,
        file: ready.file.clone(),
        approved: ready.approved.clone(),
        optloop: env!("CARGO_PKG_VERSION").to_owned(),
        given: ready.given.clone(),
        settings: ready.sources.clone(),
    };
    stored.write_about(&about).map_err(|e| unwritable(&stored.folder, &e))?;
    drive(&stored, &ready, Begin::New { head }, ui)
}

/// Takes up the last one that has not ended; its file is read again.
pub(super) fn resume(which: &WhichCampaign, ui: &Ui) -> Result<Exit, Refusal> {
    let stored = chosen(which)?;
    if has_ended(&stored) {
        let what = format!("{} has ended", stored.id);
        let hint = "`optloop loop start` begins another".to_owned();
        return Err(Refusal::Words(what, Some(hint), Exit::User));
    }
    let about = stored.about().map_err(|e| {
        let what = format!("cannot read what {} was started with: {e}", stored.id);
        Refusal::Words(what, None, exit::of_io(&e))
    })?;
    let ready = ready(&about.file, &about.approved, about.given)?;
    drive(&stored, &ready, Begin::Again, ui)
}

/// What was given to it at its start counts where nothing else is given now.
fn taken_up(stored: &Stored, file: &Path, given: Given) -> Result<Ready, Refusal> {
    let Ok(about) = stored.about() else { return ready(file, &[], given) };
    let given = given.or_earlier(about.given.clone());
    let ready = ready(file, &about.approved, given)?;
    let (given, settings) = (ready.given.clone(), ready.sources.clone());
    let now = About { given, settings, ..about };
    stored.write_about(&now).map_err(|e| unwritable(&stored.folder, &e))?;
    Ok(ready)
}

fn has_ended(stored: &Stored) -> bool {
    let log = crate::campaign::log::Log::open(&stored.folder);
    log.is_ok_and(|(log, _)| log.history().end.is_some())
}

/// Reads the campaign file, and finds what it names.
fn ready(file: &Path, approved: &[String], given: Given) -> Result<Ready, Refusal> {
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

/// What must hold before anything is spent; the commit that is checked out.
fn preconditions(ready: &Ready) -> Result<Option<String>, Refusal> {
    let git = Outside::of(&Disk, Cancel::default());
    let state = State::of(&ready.project.root, &git);
    let state = state.map_err(|e| Refusal::Words(e.to_string(), None, Exit::User))?;
    let changed = state.iter().flat_map(|state| &state.changed);
    // Neither what optloop wrote, nor the campaign file, nor what is replayed is part of what agents
    // work on.
    let replayed = match &ready.settings.agent.kind {
        AgentKind::Replay(folder) => ready.file.parent().map(|parent| parent.join(folder)),
        AgentKind::Command { .. } => None,
    };
    let is_apart = |path: &Path| {
        path.iter().any(|part| part == ".optloop")
            || ready.file.ends_with(path)
            || replayed
                .as_ref()
                .is_some_and(|folder| ready.project.root.join(path).starts_with(folder))
    };
    let changed = changed.filter(|path| !is_apart(path));
    let names: Vec<String> = changed.take(10).map(|path| path.display().to_string()).collect();
    if ready.settings.dirty == Dirty::Fail && !names.is_empty() {
        let what = format!("the checkout has changes that are not committed: {}", names.join(", "));
        let hint =
            "commit them, or write dirty = \"include\" to begin with them, or \"ignore\" to \
                    begin with the last commit"
                .to_owned();
        return Err(Refusal::Words(what, Some(hint), Exit::User));
    }
    let head = state.and_then(|state| state.head);
    held::needs_commit(&ready.settings, head.as_deref())?;
    let agent = &ready.settings.agent;
    if let Some(what) = agent::missing(agent, &surroundings(ready), &ready.project.root) {
        let hint = "mend [agent] in the campaign file".to_owned();
        return Err(Refusal::Words(what, Some(hint), Exit::User));
    }
    if matches!(agent.kind, AgentKind::Command { .. })
        && agent.sandbox == AgentSandbox::Auto
        && !sandbox::agent::confines_writes()
    {
        let what = "this machine cannot confine what the agent writes: it offers no Landlock";
        let hint = "write [agent] sandbox = \"none\" to run it without, or use Linux 5.13 or later";
        return Err(Refusal::Words(what.to_owned(), Some(hint.to_owned()), Exit::User));
    }
    Ok(head)
}

/// What would be done.
fn dry_run(ready: &Ready, ui: &Ui) -> Exit {
    let settings = &ready.settings;
    let brief = Brief { settings, history: &History::default(), iteration: 1 };
    let prompt = brief.text();
    ui.line(&words::plan(settings, &ready.pipeline));
    ui.line("\nsettings and where they come from:\n");
    for Setting { key, value, source } in &ready.sources {
        ui.line(&format!("  {key} = {value}  ({})", source.words()));
    }
    ui.line(&format!("\nthe first prompt, {} bytes:\n", prompt.len()));
    ui.text(&prompt);
    Exit::Ok
}

enum Begin {
    New { head: Option<String> },
    Again,
}

/// What agents and guards get from this process.
fn surroundings(ready: &Ready) -> Surroundings {
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

fn drive(stored: &Stored, ready: &Ready, begin: Begin, ui: &Ui) -> Result<Exit, Refusal> {
    let _lock = match stored.drive().map_err(EngineError::from)? {
        Driven::Here(lock) => lock,
        Driven::Elsewhere(holder) => {
            let what = format!("{} is driven by {holder}", stored.id);
            let hint = "`optloop loop status` says how it is doing".to_owned();
            return Err(Refusal::Words(what, Some(hint), Exit::Infrastructure));
        }
    };
    let cancel = process::install().unwrap_or_default();
    let mut surroundings = surroundings(ready);
    let place = Place {
        program: Disk.program(),
        dir: &ready.project.root,
        env: &surroundings.env,
        cancel: &cancel,
    };
    let held = held::held(&ready.settings, place)?;
    let name = held.as_ref().and_then(|held| Some(held.as_ref().ok()?.name.clone()));
    surroundings.env.extend(name.iter().map(|name| (HELD.into(), name.into())));
    let with = name.map(|name| WithVariable { host: &Disk, name: HELD, value: name.into() });
    let host = with.as_ref().map_or(&Disk as &dyn Host, |with| with);
    let (env, secrets) = (surroundings.env.clone(), surroundings.secrets.clone());
    let is_secret = |name: &OsString| Secrets::is_secret(&name.to_string_lossy());
    let harmless: Vec<_> = env.iter().filter(|(name, _)| !is_secret(name)).cloned().collect();
    let mut agent = agent::of(&ready.settings.agent, surroundings);
    let quiet = Silent;
    let mut judge =
        PipelineJudge { host, pipeline: &ready.pipeline, observer: &quiet, cancel: &cancel };
    let live = Live::new(ui, &stored.folder);
    let observer = Follower { ui, settings: &ready.settings, live: &live };
    let parts = Parts {
        settings: &ready.settings,
        folder: &stored.folder,
        agent: &mut *agent,
        judge: &mut judge,
        observer: &observer,
        env: &harmless,
        secrets: &secrets,
        cancel: &cancel,
    };
    let driver = match begin {
        Begin::New { head } => {
            let begun = Begun {
                id: stored.id.clone(),
                goal: ready.settings.goal.clone(),
                pipeline: ready.pipeline.to_string_lossy().into_owned(),
                head,
                ..Begun::default()
            };
            let outside = Outside::of(&Disk, cancel.clone());
            let source = Source {
                root: &ready.project.root,
                dirty: ready.settings.dirty,
                carry: &ready.settings.carry,
                outside: &outside,
            };
            Driver::begin(parts, &source, begun).map_err(|error| refused(&error))?
        }
        Begin::Again => {
            let (mut driver, torn) = Driver::resume(parts).map_err(|error| refused(&error))?;
            if let Some(torn) = torn {
                ui.complain(&format!("warning: {torn}"));
            }
            let head = held::head(&ready.project.root, &cancel);
            driver.look_at_head(head.as_deref()).map_err(|error| refused(&error))?;
            driver
        }
    };
    let follows = Announcing {
        folder: &stored.folder,
        root: &ready.project.root,
        publish: ready.settings.publish,
        on_best: &ready.settings.on_best,
        env: &env,
        secrets: &secrets,
        outside: Outside::of(&Disk, cancel.clone()),
        cancel: &cancel,
    };
    let mut driver = driver.announced_by(Box::new(follows));
    if let Some(held) = &held {
        driver.note_hold(held.as_ref()).map_err(|error| refused(&error))?;
    }
    let ran = driver.run().map_err(|error| refused(&error).with_resume(&stored.id));
    live.end();
    let ran = ran?;
    Ok(ended(ran, driver.history(), stored, ui))
}

fn ended(ran: Ran, history: &History, stored: &Stored, ui: &Ui) -> Exit {
    if ran == Ran::Interrupted {
        ui.note(&format!("interrupted: `optloop loop resume {}` goes on", stored.id));
        return Exit::Interrupted;
    }
    if ui.format == Format::Human {
        ui.line(&words::summary(history));
        ui.line(&format!("  report     {}", shown(&stored.folder.join("report.md")).display()));
    }
    history.end.map_or(Exit::Internal, exit::of_campaign)
}

fn refused(error: &DriverError) -> Refusal {
    let exit = match error {
        DriverError::Judge(_) | DriverError::Guard(_) | DriverError::Scope(_) => Exit::User,
        DriverError::Log(_) | DriverError::Trees(_) | DriverError::Pending(_) => {
            Exit::Infrastructure
        }
        DriverError::File { source, .. } => exit::of_io(source),
    };
    Refusal::Words(error.to_string(), None, exit)
}

impl Refusal {
    /// With the command that goes on where it ended.
    fn with_resume(self, id: &str) -> Self {
        match self {
            Self::Words(what, None, exit) => {
                let hint = format!("mend that; `optloop loop resume {id}` goes on");
                Self::Words(what, Some(hint), exit)
            }
            other => other,
        }
    }
}

/// Prints what happens.
struct Follower<'a> {
    ui: &'a Ui,
    settings: &'a Settings,
    live: &'a Live,
}

impl Observer for Follower<'_> {
    fn event(&self, entry: &Entry, history: &History) {
        if self.ui.format == Format::Json {
            self.ui.json(entry);
        } else if let Some(line) = words::event(&entry.event, history, self.settings) {
            self.ui.line(&line);
        }
        self.live.show(history);
    }
}

/// What stages do in a campaign is in its artifacts.
struct Silent;

impl crate::project::Observer for Silent {
    fn event(&self, _: &crate::engine::Event) {}
}
