//! Starting a campaign, and taking one up.

use std::ffi::OsString;
use std::path::Path;

use super::copies;
use super::given::given;
use super::held;
use super::live::Live;
use super::moved;
use super::preconditions;
use super::ready::{Ready, ready, surroundings};
use super::which::{chosen, shown, unwritable};
use super::words;
use crate::cache::lock::Lock;
use crate::campaign::agent::{self};
use crate::campaign::announce::Announcing;
use crate::campaign::compute::{self, OnDevice};
use crate::campaign::driver::{Driver, DriverError, Observer, Parts, Ran};
use crate::campaign::event::{Begun, Entry, Event};
use crate::campaign::file::OnMoved;
use crate::campaign::history::History;
use crate::campaign::hold::Place;
use crate::campaign::pipeline_judge::PipelineJudge;
use crate::campaign::prompt::Brief;
use crate::campaign::secrets::Secrets;
use crate::campaign::settings::given::{Given, Setting};
use crate::campaign::store::{About, Driven, Stored};
use crate::campaign::trees::Source;
use crate::cli::args::{Format, StartArgs, WhichCampaign};
use crate::cli::exit::{self, Exit};
use crate::cli::refusal::Refusal;
use crate::cli::ui::Ui;
use crate::engine::EngineError;
use crate::git::Outside;
use crate::host::{Host, Launcher, Variable, With};
use crate::pipeline::Overrides;
use crate::process::hold::HELD;
use crate::process::{self};
use crate::project::Access;
use crate::project::host::Disk;

/// Starts one; one of the same name that has not ended is taken up.
pub(super) fn start(args: &StartArgs, ui: &Ui) -> Result<Exit, Refusal> {
    let given = given(args)?;
    let file = Path::new(&args.file);
    let ready = ready(file, &args.approve, given.clone())?;
    let state = ready.project.state();
    let mut all = Stored::all(&state);
    all.retain(|stored| stored.is_called(&ready.settings.name) && !stored.has_ended());
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
    let head = preconditions::check(&ready)?;
    if args.dry_run {
        return Ok(dry_run(&ready, ui));
    }
    Stored::remove_unbegun(&state);
    copies::remove_left(&Stored::all(&state), ui);
    let stored = Stored::new(&state, &ready.settings.name, jiff::Timestamp::now());
    let about = moved::about(&ready, 1, head.clone());
    stored.write_about(&about).map_err(|e| unwritable(&stored.folder, &e))?;
    drive(&stored, &ready, Begin::New { head }, ui)
}

/// Takes up the last one that has not ended; its file is read again.
pub(super) fn resume(which: &WhichCampaign, ui: &Ui) -> Result<Exit, Refusal> {
    let stored = chosen(which)?;
    if stored.has_ended() {
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

fn drive(stored: &Stored, ready: &Ready, begin: Begin, ui: &Ui) -> Result<Exit, Refusal> {
    if let Some(warning) = preconditions::unenforced(&ready.settings) {
        ui.complain(&format!("warning: {warning}"));
    }
    let _lock = lock(stored)?;
    let cancel = process::install().unwrap_or_default();
    let mut surroundings = surroundings(ready);
    let place = Place {
        program: Disk.program(),
        dir: &ready.project.root,
        env: &surroundings.env,
        cancel: &cancel,
    };
    let held = held::held(&ready.settings, place)?;
    let with = compute::Surroundings { env: &surroundings.env, cancel: &cancel };
    preconditions::compute(ready, &stored.folder, with)?;
    let name = held.as_ref().and_then(|held| Some(held.as_ref().ok()?.name.clone()));
    if let (Some(name), Begin::New { .. }) = (&name, &begin) {
        let opened = ready.project.open(Overrides::default(), Access::Read, &[ui])?;
        for warning in held::warnings(name, &opened) {
            ui.complain(&format!("warning: {warning}"));
        }
    }
    surroundings.env.extend(name.iter().map(|name| (HELD.into(), name.into())));
    let launcher = Launcher::of(&ready.settings.compute.launcher);
    let variable = name.map(|name| Variable { name: HELD, value: name.into() });
    let host = With { host: &Disk, variable, launcher: launcher.as_ref() };
    let (env, secrets) = (surroundings.env.clone(), surroundings.secrets.clone());
    let is_secret = |name: &OsString| Secrets::is_secret(&name.to_string_lossy());
    let harmless: Vec<_> = env.iter().filter(|(name, _)| !is_secret(name)).cloned().collect();
    let mut agent = agent::of(&ready.settings.agent, surroundings);
    let quiet = Silent;
    let mut pipeline =
        PipelineJudge { host: &host, pipeline: &ready.pipeline, observer: &quiet, cancel: &cancel };
    let mut judge = OnDevice {
        judge: &mut pipeline,
        wanted: ready.settings.compute.device.as_ref(),
        launcher: launcher.as_ref(),
        with: compute::Surroundings { env: &harmless, cancel: &cancel },
    };
    let live = Live::new(ui, &stored.folder);
    let observer = Follower { ui, ready, stored, live: &live };
    let outside = Outside::of(&Disk, cancel.clone());
    let source = Source {
        root: &ready.project.root,
        dirty: ready.settings.dirty,
        carry: &ready.settings.carry,
        outside: &outside,
    };
    let copies = copies::made(stored, &ready.project.root)?;
    let parts = Parts {
        settings: &ready.settings,
        folder: &stored.folder,
        copies: &copies,
        source,
        agent: &mut *agent,
        judge: &mut judge,
        observer: &observer,
        env: &harmless,
        launcher: launcher.as_ref(),
        secrets: &secrets,
        cancel: &cancel,
    };
    let driver = driver(parts, begin, Campaign { stored, ready, ui })?;
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
    copies::remove_if_ended(stored, ui);
    Ok(ended(ran, driver.history(), stored, ui))
}

/// The lock of the one who drives it.
fn lock(stored: &Stored) -> Result<Lock, Refusal> {
    match stored.drive().map_err(EngineError::from)? {
        Driven::Here(lock) => Ok(lock),
        Driven::Elsewhere(holder) => {
            let what = format!("{} is driven by {holder}", stored.id);
            let hint = "`optloop loop status` says how it is doing".to_owned();
            Err(Refusal::Words(what, Some(hint), Exit::Infrastructure))
        }
    }
}

/// What is driven, and who follows it.
#[derive(Clone, Copy)]
struct Campaign<'a> {
    stored: &'a Stored,
    ready: &'a Ready,
    ui: &'a Ui,
}

/// One that was begun now, or taken up.
fn driver<'a>(
    parts: Parts<'a>,
    begin: Begin,
    campaign: Campaign<'_>,
) -> Result<Driver<'a>, Refusal> {
    let Campaign { stored, ready, ui } = campaign;
    let outside = parts.source.outside;
    match begin {
        Begin::New { head } => {
            let begun = Begun {
                id: stored.id.clone(),
                goal: ready.settings.goal.clone(),
                pipeline: ready.pipeline.to_string_lossy().into_owned(),
                head,
                ..Begun::default()
            };
            Driver::begin(parts, begun).map_err(|error| refused(&error))
        }
        Begin::Again => {
            let (mut driver, torn) = Driver::resume(parts).map_err(|error| refused(&error))?;
            if let Some(torn) = torn {
                ui.complain(&format!("warning: {torn}"));
            }
            moved::note_epoch(stored, ready, driver.history(), ui);
            look_at_head(&mut driver, ready, outside)?;
            Ok(driver)
        }
    }
}

/// Looks whether another commit is checked out than the campaign knows. One that it adopts must not
/// have changes that are not committed, unless they are part of it.
fn look_at_head(driver: &mut Driver<'_>, ready: &Ready, outside: &Outside) -> Result<(), Refusal> {
    let head = moved::head(&ready.project.root, driver.history(), outside);
    driver.look_at_head(head.as_deref()).map_err(|error| refused(&error))?;
    let is_adopting = ready.settings.rules.on_moved == OnMoved::Adopt;
    if is_adopting && driver.history().moved.is_some() {
        drop(preconditions::check(ready)?);
    }
    Ok(())
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
        DriverError::Judge(_)
        | DriverError::Guard(_)
        | DriverError::Scope(_)
        | DriverError::Conflict { .. }
        | DriverError::OtherPlace
        | DriverError::Merged(_) => Exit::User,
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
    ready: &'a Ready,
    stored: &'a Stored,
    live: &'a Live,
}

impl Observer for Follower<'_> {
    fn event(&self, entry: &Entry, history: &History) {
        if matches!(entry.event, Event::Adopted(_)) {
            moved::note_epoch(self.stored, self.ready, history, self.ui);
        }
        if self.ui.format == Format::Json {
            self.ui.json(entry);
        } else if let Some(line) = words::event(&entry.event, history, &self.ready.settings) {
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
