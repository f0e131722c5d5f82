//! A project with its state: locked, recovered, planned where it has to be, and looked at.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::lock::{Access, lock};
use super::observer::{Notice, Observers, notify};
use super::{Project, ProjectError, plan, promotion};
use crate::cache::index::flag;
use crate::cache::lock::Lock;
use crate::cache::{NodeId, PerNode};
use crate::digest::Digest;
use crate::engine::device;
use crate::engine::explain::{Answer, Forecast};
use crate::engine::{EngineError, Paths, State};
use crate::git::Outside;
use crate::pipeline::{Overrides, Target};
use crate::plan::{Definition, Plan};

/// A project with these changes to its pipeline, and with its state; what can be written is locked
/// until this is dropped.
pub struct Opened<'h> {
    /// What was opened.
    pub project: Project<'h>,
    /// With which changes.
    pub overrides: Overrides,
    /// What is known of its stages.
    pub state: State,
    /// How it was opened.
    pub access: Access,
    made_by: Digest,
    /// Held while something may be written.
    lock: Option<Lock>,
}

impl<'h> Project<'h> {
    /// Opens the state and brings the plan up to date, in memory. A keep or revert that a killed
    /// process began is ended first.
    ///
    /// # Errors
    /// When the pipeline's files are wrong, another process is at work and waiting is ruled out, or
    /// the state can be neither read nor kept.
    pub fn open(
        &self,
        overrides: Overrides,
        access: Access,
        observers: Observers<'_>,
    ) -> Result<Opened<'h>, ProjectError> {
        let paths = Paths::new(&self.root, &identity(self, &overrides));
        // A first run of a pipeline that is refused leaves nothing behind.
        let is_first = access != Access::Read && !paths.own.is_dir();
        let plan = is_first.then(|| plan::make(self, &overrides)).transpose()?;
        let lock = take_lock(&paths, access, observers)?;
        if access != Access::Read {
            recover(&paths.state, &self.git(), observers)?;
        }
        let state = match access {
            Access::Read => State::open_read_only(paths)?,
            Access::Wait | Access::Refuse => State::open(paths)?,
        };
        let made_by = made_by();
        let project = self.clone();
        let mut opened = Opened { project, overrides, state, access, made_by, lock };
        opened.refresh(plan)?;
        Ok(opened)
    }
}

impl Opened<'_> {
    /// Looks at the files again: what was decided or edited since counts from now on.
    pub(super) fn look_again(&mut self) -> Result<(), ProjectError> {
        self.refresh(None)
    }

    /// Looks at the files; plans anew when the plan came from something that changed.
    fn refresh(&mut self, made: Option<Plan>) -> Result<(), ProjectError> {
        let look = self.state.look(self.project.host)?;
        if !self.state.needs_plan(self.made_by, &look) {
            self.state.know(&look.seen);
            return Ok(());
        }
        let plan = match made {
            Some(plan) => plan,
            None => plan::make(&self.project, &self.overrides)?,
        };
        if self.access != Access::Read {
            self.state.prepare()?;
        }
        self.state.take_plan(&plan, self.made_by);
        let look = self.state.look(self.project.host)?;
        self.state.know(&look.seen);
        Ok(())
    }

    /// The pipeline's name.
    pub fn title(&self) -> &str {
        let index = &self.state.index;
        index.text_of(index.title)
    }

    /// Names of all nodes and what each needs.
    pub fn names_and_needs(&self) -> (Vec<String>, Vec<Vec<usize>>) {
        let index = &self.state.index;
        index
            .node_ids()
            .map(|n| {
                let needs = index.needs(n);
                let needs = needs.iter().map(|&n| n.place()).collect();
                (index.node_name(n).to_owned(), needs)
            })
            .unzip()
    }

    /// Nodes of the wanted stages and what they need; none, for all, when none is named.
    ///
    /// # Errors
    /// When there is no such stage.
    pub fn select(&self, wanted: &[String]) -> Result<Vec<NodeId>, ProjectError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let (names, needs) = self.names_and_needs();
        let selected = crate::plan::build::select(&names, wanted, &needs);
        let selected = selected.map_err(ProjectError::Mistakes)?;
        Ok(selected.into_iter().map(NodeId::at).collect())
    }

    /// What a run of the selected stages (all when none is selected) would do.
    ///
    /// # Errors
    /// When something that keys depend on cannot be read.
    pub fn forecast(&self, selected: &[NodeId]) -> Result<Forecast<'_>, ProjectError> {
        let mut flags = PerNode::new(selected.is_empty(), self.state.index.nodes.len());
        for &node in selected {
            flags[node] = true;
        }
        Ok(Forecast::of(&self.state, self.project.host, &flags)?)
    }

    /// Refuses when a stage that would surely run asks for a device that is not there. The driver
    /// is asked only then; a stage of which that is not known yet asks by itself. Forced stages all
    /// run.
    pub(super) fn need_devices(
        &self,
        selected: &[NodeId],
        forced: Forced,
    ) -> Result<(), ProjectError> {
        let asking = self.asking_for_devices(selected)?;
        if asking.is_empty() {
            return Ok(());
        }
        let forecast = self.forecast(selected)?;
        let runs = |node| matches!(forecast.brief(node).answer, Answer::Runs { .. });
        let target = asking.iter().find(|(node, _)| forced == Forced::Yes || runs(*node));
        let Some((_, target)) = target else { return Ok(()) };
        let Some(missing) = device::missing(target, self.project.host) else { return Ok(()) };
        let lacks_nvrtc = target.cuda().is_some() && self.lacks_nvrtc()?;
        let also =
            if lacks_nvrtc { "; and NVRTC, which compiles `.cu`, was not found" } else { "" };
        Err(ProjectError::NoDevice { missing, also: also.to_owned() })
    }

    /// Selected nodes with devices that may be missing.
    fn asking_for_devices(
        &self,
        selected: &[NodeId],
    ) -> Result<Vec<(NodeId, Target)>, ProjectError> {
        let index = &self.state.index;
        // What has a device times something or comes to a verdict.
        let on_devices = index.node_ids().filter(|&n| {
            let wanted = selected.is_empty() || selected.contains(&n);
            let node = index.node(n);
            wanted && (node.has(flag::ALONE) || node.has(flag::RESULT))
        });
        let mut asking = Vec::new();
        for node in on_devices {
            let target = self.state.definition(node)?.definition.target().cloned();
            asking.extend(target.filter(device::may_be_missing).map(|target| (node, target)));
        }
        Ok(asking)
    }

    /// Whether a kernel is to be compiled by an NVRTC that is not there.
    fn lacks_nvrtc(&self) -> Result<bool, ProjectError> {
        for node in self.state.index.node_ids() {
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
            let file = self.project.file.display();
            lock.sign(&format!("pid {} (optloop pipeline {file})", std::process::id()))?;
        }
        Ok(())
    }
}

/// Whether stages run whatever is cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forced {
    Yes,
    No,
}

/// What tells states apart: the pipeline file and the changes to it.
fn identity(project: &Project<'_>, overrides: &Overrides) -> Digest {
    let name = project.file.file_name().unwrap_or_default();
    let path = project.dir.join(name);
    let below = path.strip_prefix(&project.root).unwrap_or(&path);
    let mut text = below.to_string_lossy().into_owned();
    text.push('\0');
    // Plain maps and numbers always encode.
    text.push_str(&serde_json::to_string(overrides).unwrap_or_default());
    Digest::of(text.as_bytes())
}

/// What plans are made by: another build of the program plans anew.
fn made_by() -> Digest {
    let build = std::fs::metadata("/proc/self/exe")
        .map(|m| format!("{} {} {}", m.len(), m.mtime(), m.mtime_nsec()))
        .unwrap_or_default();
    Digest::of(format!("{} {build}", env!("CARGO_PKG_VERSION")).as_bytes())
}

/// Ends the keep or revert that a killed process began, and says so. The state's lock is held.
pub(super) fn recover(
    state: &Path,
    git: &Outside,
    observers: Observers<'_>,
) -> Result<(), ProjectError> {
    let root = state.parent().unwrap_or(Path::new("/"));
    let ended = promotion::recover(root, state, git).map_err(ProjectError::Record)?;
    if let Some(ended) = ended {
        notify(observers, &Notice::Recovered(Box::new(ended)));
    }
    Ok(())
}

fn take_lock(
    paths: &Paths,
    access: Access,
    observers: Observers<'_>,
) -> Result<Option<Lock>, ProjectError> {
    if access == Access::Read {
        return Ok(None);
    }
    if !paths.own.is_dir() {
        std::fs::create_dir_all(&paths.own).map_err(|source| EngineError::State {
            what: format!("cannot make {}", paths.own.display()),
            source,
        })?;
    }
    lock(&paths.state, access, observers).map(Some)
}
