//! A pipeline with its state: found, read, planned where it has to be, and looked at.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::args::Which;
use super::exit::{self, Exit};
use super::incumbents::Incumbents;
use super::ui::Ui;
use super::world::{self, Disk, Located};
use crate::cache::index::flag;
use crate::cache::lock::{Lock, TryLock};
use crate::diagnostic::Diagnostic;
use crate::digest::Digest;
use crate::engine::device::{self, Missing};
use crate::engine::explain::Answer;
use crate::engine::{EngineError, Paths, State};
use crate::pipeline::{self, Overrides, Pipeline, Target};
use crate::plan::{self, Definition, Plan};
use crate::problem;
use crate::project::promotion;
use crate::record::RecordError;

/// Everything a command on a pipeline works with.
pub(super) struct Session {
    pub(super) located: Located,
    pub(super) overrides: Overrides,
    pub(super) state: State,
    pub(super) made_by: Digest,
    /// Held while something may be written.
    lock: Option<Lock>,
}

/// Why there is no session.
pub(super) enum Refusal {
    /// Files that are wrong.
    Diagnostics(Vec<Diagnostic>),
    /// Anything else: words, a hint, a code.
    Words(String, Option<String>, Exit),
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        Self::Words(error.to_string(), error.hint(), exit::of_error(&error))
    }
}

/// Whether a command may write, and waits for others that do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Reads only: takes no lock and leaves every byte as it is.
    Read,
    /// Writes; waits for other runs.
    Wait,
    /// Writes; refuses when another run is at work.
    Refuse,
}

impl Session {
    /// Opens the state of a pipeline and brings its plan up to date, in memory.
    pub(super) fn open(which: &Which, access: Access, ui: &Ui) -> Result<Self, Refusal> {
        let located = located(&which.file)?;
        let overrides = overrides(which, &located);
        Self::open_with(located, overrides, access, ui)
    }

    /// Opens the state of a pipeline that is found, with these changes to it. A keep or revert that
    /// was cut off is ended first.
    pub(super) fn open_with(
        located: Located,
        overrides: Overrides,
        access: Access,
        ui: &Ui,
    ) -> Result<Self, Refusal> {
        let identity = identity(&located, &overrides);
        let paths = Paths::new(&located.root, &identity);
        // A first run of a pipeline that is refused leaves nothing behind.
        let first = access != Access::Read && !paths.own.is_dir();
        let plan = first.then(|| make_plan(&located, &overrides)).transpose()?;
        let lock = take_lock(&paths, access, ui)?;
        if access != Access::Read {
            recover(&paths, ui)?;
        }
        let state = match access {
            Access::Read => State::open_read_only(paths)?,
            Access::Wait | Access::Refuse => State::open(paths)?,
        };
        let made_by = made_by();
        let mut session = Self { located, overrides, state, made_by, lock };
        session.refresh(access, plan)?;
        Ok(session)
    }

    /// Looks at the world; plans anew when the plan came from something that changed.
    fn refresh(&mut self, access: Access, made: Option<Plan>) -> Result<(), Refusal> {
        let look = self.state.look(&Disk)?;
        if self.state.needs_plan(self.made_by, &look) {
            let plan = match made {
                Some(plan) => plan,
                None => make_plan(&self.located, &self.overrides)?,
            };
            if access != Access::Read {
                self.state.prepare()?;
            }
            self.state.take_plan(&plan, self.made_by);
            let look = self.state.look(&Disk)?;
            self.state.know(&look.seen);
        } else {
            self.state.know(&look.seen);
        }
        Ok(())
    }

    /// Positions of the wanted stages and what they need; all when none is named.
    pub(super) fn select(&self, wanted: &[String]) -> Result<Vec<usize>, Refusal> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let (names, needs) = self.names_and_needs();
        plan::build::select(&names, wanted, &needs).map_err(Refusal::Diagnostics)
    }

    /// Names of all nodes and what each needs.
    pub(super) fn names_and_needs(&self) -> (Vec<String>, Vec<Vec<usize>>) {
        let index = &self.state.index;
        (0..index.nodes.len() as u32)
            .map(|n| {
                let needs = index.ids(index.nodes[n as usize].needs);
                let needs = needs.iter().map(|&n| n as usize).collect();
                (index.node_name(n).to_owned(), needs)
            })
            .unzip()
    }

    /// Refuses when a stage that would surely run asks for a device that is not there. The
    /// driver is asked only then; a stage of which that is not known yet asks by itself.
    pub(super) fn need_devices(&self, selected: &[usize], forced: bool) -> Result<(), Refusal> {
        let index = &self.state.index;
        // Whatever has a device times something or comes to a verdict.
        let on_devices = (0..index.nodes.len() as u32).filter(|&n| {
            let wanted = selected.is_empty() || selected.contains(&(n as usize));
            let node = &index.nodes[n as usize];
            wanted && (node.has(flag::ALONE) || node.has(flag::RESULT))
        });
        let mut asking: Vec<(u32, Target)> = Vec::new();
        for node in on_devices {
            let target = self.state.definition(node)?.definition.target().cloned();
            asking.extend(target.filter(device::may_be_missing).map(|target| (node, target)));
        }
        if asking.is_empty() {
            return Ok(());
        }
        let forecast = super::explain::forecast(self, selected)?;
        let runs = |node| matches!(forecast.brief(node).answer, Answer::Runs { .. });
        let Some((_, target)) = asking.iter().find(|(node, _)| forced || runs(*node)) else {
            return Ok(());
        };
        let Some(Missing { what, hint }) = device::missing(target, &Disk) else {
            return Ok(());
        };
        let also = if target.cuda().is_some() && self.lacks_nvrtc()? {
            "; and NVRTC, which compiles `.cu`, was not found"
        } else {
            ""
        };
        Err(Refusal::Words(format!("{what}{also}"), Some(hint), Exit::NoDevice))
    }

    /// Whether a kernel is to be compiled by an NVRTC that is not there.
    fn lacks_nvrtc(&self) -> Result<bool, Refusal> {
        for node in 0..self.state.index.nodes.len() as u32 {
            let stored = self.state.definition(node)?;
            let Definition::Compile(compile) = &stored.definition else { continue };
            let first = compile.sources.first().map(Path::new);
            let is_source = first.and_then(Path::extension).is_some_and(|e| e == "cu");
            if is_source && compile.compiler.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Tells others who holds the state; called when work begins.
    pub(super) fn sign(&mut self) -> Result<(), EngineError> {
        if let Some(lock) = &mut self.lock {
            let file = self.located.file.display();
            lock.sign(&format!("pid {} (optloop pipeline {file})", std::process::id()))?;
        }
        Ok(())
    }
}

/// Finds a pipeline.
pub(super) fn located(file: &str) -> Result<Located, Refusal> {
    let located = world::locate(file).map_err(|tried| {
        let places: Vec<String> = tried.iter().map(|p| p.display().to_string()).collect();
        Refusal::Words(
            format!("there is no pipeline `{file}`"),
            Some(format!("looked for {}; `optloop init` writes an example", places.join(", "))),
            Exit::User,
        )
    })?;
    match located.dir.to_str() {
        Some(_) => Ok(located),
        None => Err(Refusal::Words(
            format!("the name of the folder {} is not UTF-8", located.dir.display()),
            Some("rename it: keys, messages and pipelines hold paths as text".to_owned()),
            Exit::User,
        )),
    }
}

/// The same file or folder, named from the file system's root; links in its folder are followed.
fn from_anywhere(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match (absolute.parent().and_then(|p| p.canonicalize().ok()), absolute.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => absolute,
    }
}

/// Reads pipeline and problem and makes the plan; every mistake of all of them at once.
fn make_plan(located: &Located, overrides: &Overrides) -> Result<Plan, Refusal> {
    let mut mistakes = Vec::new();
    let loaded = pipeline::load(&located.file, overrides, &Disk);
    mistakes.extend(loaded.diagnostics);
    let Some(mut pipeline) = loaded.pipeline else {
        return Err(Refusal::Diagnostics(mistakes));
    };
    pipeline.dir.clone_from(&located.dir);
    // The plan knows files from the root, not from where this process happens to be.
    for path in &mut pipeline.sources {
        *path = from_anywhere(path);
    }
    pipeline.preset_dir = from_anywhere(&pipeline.preset_dir);
    let problem = load_problem(located, &pipeline, &mut mistakes);
    plan::only::restrict(&mut pipeline, problem.as_ref(), &located.root, &overrides.only);
    let incumbents = Incumbents { located, overrides };
    let request = plan::build::Request {
        pipeline: &pipeline,
        problem: problem.as_ref(),
        root: &located.root,
        host: &Disk,
        incumbents: &incumbents,
    };
    match plan::build::build(request) {
        Err(more) => {
            let only_compilers = more.iter().all(|mistake| mistake.code == "no-compiler");
            if mistakes.is_empty() && only_compilers {
                without_device(&pipeline.target(), &more)?;
            }
            mistakes.extend(more);
        }
        Ok(plan) if mistakes.is_empty() => {
            return Ok(plan);
        }
        Ok(_) => {}
    }
    Err(Refusal::Diagnostics(mistakes))
}

/// Whoever has no device has no use for its compilers either: that is said first.
fn without_device(target: &Target, compilers: &[Diagnostic]) -> Result<(), Refusal> {
    let Some(Missing { what, hint }) = device::missing(target, &Disk) else {
        return Ok(());
    };
    let also = compilers.first().map(|mistake| format!("; and {}", mistake.message));
    let what = format!("{what}{}", also.unwrap_or_default());
    Err(Refusal::Words(what, Some(hint), Exit::NoDevice))
}

pub(super) fn load_problem(
    located: &Located,
    pipeline: &Pipeline,
    mistakes: &mut Vec<Diagnostic>,
) -> Option<problem::Problem> {
    let (name, _) = pipeline.problem.as_ref()?;
    let path = located.file.parent().unwrap_or(Path::new("")).join(name);
    if !path.is_file() {
        return None; // reported by the pipeline
    }
    let loaded = problem::load(&path, &Disk);
    mistakes.extend(loaded.diagnostics);
    let mut problem = loaded.problem?;
    // The plan resolves names from the root, not from where this process happens to be.
    if let Ok(absolute) = problem.reference.canonicalize() {
        problem.reference = absolute;
    }
    Some(problem)
}

/// A path below the root, as seen from the pipeline's folder: relative when both lie below the root,
/// so that moving the project keeps every key.
pub(super) fn from_below(located: &Located, path: &str) -> String {
    match located.dir.strip_prefix(&located.root) {
        Ok(below) if !path.starts_with('/') => "../".repeat(below.components().count()) + path,
        _ => path.to_owned(),
    }
}

fn overrides(which: &Which, located: &Located) -> Overrides {
    let tuning = &which.tuning;
    // As they are named from where this process is.
    let here = |path: &Path| {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let below =
            plan::build::relative(&located.root, &located.root, &absolute.to_string_lossy());
        from_below(located, &below)
    };
    let kernel = which.kernel.as_deref().map(here);
    let incumbent = which.incumbent.as_ref().map(|incumbent| {
        let file = incumbent.strip_prefix("file:").filter(|path| !path.is_empty());
        file.map_or_else(|| incumbent.clone(), |path| format!("file:{}", here(Path::new(path))))
    });
    Overrides {
        set: tuning.set.iter().cloned().collect(),
        kernel,
        device: tuning.device.clone(),
        repeats: tuning.stage_repeats.clone().or_else(|| tuning.repeats.map(|n| vec![n])),
        early_stop_us: tuning.early_stop_us,
        timeout_s: tuning.timeout_seconds,
        incumbent,
        add: which.add.clone(),
        only: which.only.clone(),
    }
}

/// What tells states apart: the pipeline file and what the command line changes.
fn identity(located: &Located, overrides: &Overrides) -> Digest {
    let name = located.file.file_name().unwrap_or_default();
    let path = located.dir.join(name);
    let below = path.strip_prefix(&located.root).unwrap_or(&path);
    let mut text = below.to_string_lossy().into_owned();
    text.push('\0');
    // Plain maps and numbers always encode.
    text.push_str(&serde_json::to_string(overrides).unwrap_or_default());
    Digest::of(text.as_bytes())
}

/// What plans are made by: another build of the program plans anew.
fn made_by() -> Digest {
    use std::os::unix::fs::MetadataExt;
    let build = std::fs::metadata("/proc/self/exe")
        .map(|m| format!("{} {} {}", m.len(), m.mtime(), m.mtime_nsec()))
        .unwrap_or_default();
    Digest::of(format!("{} {build}", env!("CARGO_PKG_VERSION")).as_bytes())
}

/// Ends the keep or revert that a killed process began, and says so.
fn recover(paths: &Paths, ui: &Ui) -> Result<(), Refusal> {
    let failed = |error: RecordError| Refusal::Words(error.to_string(), None, Exit::Infrastructure);
    let git = world::git_to_read();
    for line in promotion::recover(&paths.root, &paths.state, &git).map_err(failed)? {
        ui.complain(&line);
    }
    Ok(())
}

fn take_lock(paths: &Paths, access: Access, ui: &Ui) -> Result<Option<Lock>, Refusal> {
    if access == Access::Read {
        return Ok(None);
    }
    if !paths.own.is_dir() {
        std::fs::create_dir_all(&paths.own).map_err(|source| EngineError::State {
            what: format!("cannot make {}", paths.own.display()),
            source,
        })?;
    }
    hold(&paths.state, access, ui).map(Some)
}

/// Takes the lock of a state folder, waiting for whoever has it unless that is ruled out.
pub(super) fn hold(state: &Path, access: Access, ui: &Ui) -> Result<Lock, Refusal> {
    const PAUSE: Duration = Duration::from_millis(20);
    let path = state.join("lock");
    let root = state.parent().unwrap_or(state);
    let mut told = false;
    loop {
        match Lock::try_take(&path).map_err(EngineError::from)? {
            TryLock::Taken(lock) => return Ok(lock),
            TryLock::Held(holder) if access == Access::Refuse => {
                let words = format!("{holder} is at work on {}", root.display());
                let hint = Some("wait for it, or leave out --no-wait".to_owned());
                return Err(Refusal::Words(words, hint, Exit::Infrastructure));
            }
            TryLock::Held(holder) => {
                if !told {
                    ui.note(&format!("waiting for {holder}"));
                    told = true;
                }
                std::thread::sleep(PAUSE);
            }
        }
    }
}
