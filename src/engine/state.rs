//! What is known at the start of a run, and keeping it true while things happen.

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

use super::account::StageRecord;
use super::error::EngineError;
use super::event::{Outcome, StageFinished};
use super::seen::Looking;
pub use super::seen::{Look, Seen};
use super::tags;
use crate::cache::index::{self, flag};
use crate::cache::journal::Replayed;
use crate::cache::{Index, Journal, NodeId, Status, Store};
use crate::digest::Digest;
use crate::host::Host;
use crate::plan::{Plan, StoredNode, layout};

/// Where the state of one pipeline lies.
#[derive(Debug, Clone)]
pub struct Paths {
    /// The root that names are relative to; absolute.
    pub root: PathBuf,
    /// `ROOT/.optloop`.
    pub state: PathBuf,
    /// `ROOT/.optloop/state/ID`: index, definitions and journal of this pipeline.
    pub own: PathBuf,
}

impl Paths {
    /// The paths of the pipeline that `identity` names (its file and what changes it).
    pub fn new(root: &Path, identity: &Digest) -> Self {
        let state = root.join(".optloop");
        let own = state.join("state").join(&identity.hex()[..16]);
        Self { root: root.to_owned(), state, own }
    }

    fn index(&self) -> PathBuf {
        self.own.join("index")
    }

    pub(super) fn defs(&self) -> PathBuf {
        self.own.join("defs")
    }

    /// What commands of this state carry in their environment.
    pub(super) fn marker(&self) -> String {
        Digest::of(self.own.to_string_lossy().as_bytes()).short()
    }
}

/// Entries and nodes of a pipeline, the journal that continues them, and the store.
#[derive(Debug)]
pub struct State {
    /// Where it lies.
    pub paths: Paths,
    /// What is known.
    pub index: Index,
    /// Results and blobs.
    pub store: Arc<Store>,
    pub(super) journal: Journal,
    pub(super) replayed: Replayed,
    /// Definitions of a plan just made, not yet on disk.
    new_defs: Option<Vec<u8>>,
    root_fd: OwnedFd,
    /// Sizes of contents that were known until they changed, for explanations.
    replaced: HashMap<Digest, u64>,
    /// Nothing on disk may change, not even the time of the clock file.
    read_only: bool,
}

impl State {
    /// Reads what is known. Nothing is written.
    ///
    /// # Errors
    /// When the root or the state cannot be read.
    pub fn open(paths: Paths) -> Result<Self, EngineError> {
        let root_fd = rustix::fs::open(
            &paths.root,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(|e| EngineError::State {
            what: format!("cannot open the folder {}", paths.root.display()),
            source: e.into(),
        })?;
        let mut index = Index::read(&paths.index())?.unwrap_or_default();
        let (journal, replayed) = Journal::replay(&paths.own.join("journal"), &mut index)?;
        let store = Arc::new(Store::new(&paths.state));
        let (replaced, read_only) = (HashMap::new(), false);
        Ok(Self {
            paths,
            index,
            store,
            journal,
            replayed,
            new_defs: None,
            root_fd,
            replaced,
            read_only,
        })
    }

    /// As [`State::open`], for those who leave every byte and every time on disk as it is.
    ///
    /// # Errors
    /// As [`State::open`].
    pub fn open_read_only(paths: Paths) -> Result<Self, EngineError> {
        Ok(Self { read_only: true, ..Self::open(paths)? })
    }

    /// The size of a content that was known before it changed, or is kept.
    pub(super) fn size_of(&self, digest: &Digest) -> Option<u64> {
        let replaced = self.replaced.get(digest).copied();
        replaced.or_else(|| self.store.bytes(digest).map(|b| b.len() as u64))
    }

    /// The root's descriptor.
    pub fn root_fd(&self) -> BorrowedFd<'_> {
        self.root_fd.as_fd()
    }

    /// True when there is no plan, or it was made from something that has changed.
    pub fn needs_plan(&self, made_by: Digest, look: &Look) -> bool {
        let from = self.index.plan_inputs();
        self.index.nodes.is_empty()
            || self.index.plan != made_by
            || look.changed.iter().any(|c| from.contains(c))
            || self.lost_an_input(look)
    }

    /// True when a file that is nobody's output has gone: planning anew says who needs it.
    fn lost_an_input(&self, look: &Look) -> bool {
        let gone = |s: &&Seen| s.stat.is_missing() && look.changed.contains(&s.entry);
        let mut gone = look.seen.iter().filter(gone).map(|s| s.entry).peekable();
        if gone.peek().is_none() {
            return false;
        }
        let index = &self.index;
        let inputs: HashSet<_> = index.node_ids().flat_map(|n| index.inputs(n)).collect();
        let outputs: HashSet<_> = index.node_ids().flat_map(|n| index.outputs(n)).collect();
        gone.any(|entry| inputs.contains(&entry) && !outputs.contains(&entry))
    }

    /// Makes the next run plan anew, after the definitions proved damaged.
    pub fn forget_plan(&mut self) {
        self.index.plan = Digest::default();
        // Best effort: if the disk is broken, the next run says the same again.
        drop(self.fold());
    }

    /// Takes a new plan, keeping what is known of entries and nodes.
    pub fn take_plan(&mut self, plan: &Plan, made_by: Digest) {
        let (index, defs) = layout::lay_out(plan, made_by, &self.index);
        self.index = index;
        self.new_defs = Some(defs);
    }

    /// Looks at everything that keys depend on; hashes only what the stat fields cannot vouch for.
    ///
    /// # Errors
    /// When a file is there but cannot be read.
    pub fn look(&self, host: &dyn Host) -> Result<Look, EngineError> {
        let clock = (!self.read_only).then(|| self.paths.own.join("clock"));
        Looking { root_fd: self.root_fd(), index: &self.index, host, clock }.look()
    }

    /// Makes what was seen known. Whoever reads or writes an entry whose digest changed is one to
    /// look at again, also after a kill: replaying the journal comes to the same.
    pub fn know(&mut self, seen: &[Seen]) {
        for &Seen { entry, stat, digest, stamp_ns } in seen {
            if let Some(e) = self.index.entries.get(entry.place()).filter(|e| e.digest != digest) {
                self.replaced.insert(e.digest, e.stat.size);
            }
            if self.index.see(entry, stat, digest, stamp_ns) == Some(true) {
                let seen = Seen { entry, stat, digest, stamp_ns };
                self.journal.append(&seen.record());
            }
        }
    }

    /// What running a node takes.
    ///
    /// # Errors
    /// When the definitions on disk are not those the index means.
    pub fn definition(&self, node: NodeId) -> Result<StoredNode, EngineError> {
        let n = self.index.node(node);
        let bytes = match &self.new_defs {
            Some(defs) => {
                let start = n.def_start as usize;
                defs.get(start..start + n.def_len as usize).unwrap_or(&[]).to_vec()
            }
            None => index::read_def(&self.paths.defs(), n).map_err(EngineError::Definitions)?,
        };
        postcard::from_bytes(&bytes)
            .map_err(|e| EngineError::Definitions(std::io::Error::other(e.to_string())))
    }

    /// The result that is known of a node, as the end of a stage.
    ///
    /// # Errors
    /// As [`State::definition`].
    pub fn known(&self, node: NodeId) -> Result<StageFinished, EngineError> {
        let n = self.index.node(node);
        let stage = self.index.node_name(node).to_owned();
        let implicit = n.has(flag::IMPLICIT);
        let kind = self.definition(node)?.definition.kind();
        if n.status() == Status::Skipped {
            let because = "as before".to_owned();
            let skipped = StageFinished::empty(kind, Outcome::Skipped { because });
            return Ok(StageFinished { stage, implicit, ..skipped });
        }
        let blank = StageFinished::empty(kind, Outcome::Cached);
        let known = StageFinished { stage, implicit, key: n.key, ..blank };
        let Some(action) = self.store.action(&n.key) else {
            return Ok(known);
        };
        let log = self.store.bytes(&action.log).unwrap_or_default();
        // Shown without, where it cannot be understood: the next run that doubts it says so.
        let record = StageRecord::decode(&action.detail).ok().flatten();
        Ok(StageFinished {
            metrics: action.metrics,
            decision: record.as_ref().and_then(StageRecord::decided),
            detail: record,
            log: String::from_utf8_lossy(&log).into_owned(),
            finished_ms: action.finished_ms,
            duration_us: action.duration_us,
            artifact: action.artifact,
            ..known
        })
    }

    /// Makes the state folder ready for a run: folders, a note for git and backup programs.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn prepare(&self) -> Result<(), EngineError> {
        let make = || -> std::io::Result<()> {
            std::fs::create_dir_all(&self.paths.own)?;
            std::fs::create_dir_all(self.paths.state.join("tmp"))?;
            tags::hide_from_git(&self.paths.state)?;
            tags::put(&self.paths.state)
        };
        make().map_err(|source| EngineError::State {
            what: format!("cannot make {}", self.paths.state.display()),
            source,
        })
    }

    /// Sweeps up after runs that were killed: temporary files, and commands still running. Only
    /// for whoever holds the lock.
    pub fn clean_up(&self) {
        // What cannot be removed now can the next time; it takes room and nothing else.
        let temporary = self.paths.state.join("tmp");
        for entry in std::fs::read_dir(temporary).into_iter().flatten().flatten() {
            let path = entry.path();
            drop(if path.is_dir() {
                std::fs::remove_dir_all(path)
            } else {
                std::fs::remove_file(path)
            });
        }
        if !self.replayed.unfinished.is_empty() {
            crate::process::end_stale(&self.paths.marker());
        }
    }

    /// Writes definitions and index of a new plan, so that everything later refers to it.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn save_plan(&mut self) -> Result<(), EngineError> {
        let Some(defs) = &self.new_defs else {
            return Ok(());
        };
        index::replace(&self.paths.defs(), |f| std::io::Write::write_all(f, defs)).map_err(
            |source| EngineError::State {
                what: "cannot write the stage definitions".to_owned(),
                source,
            },
        )?;
        self.fold()
    }

    /// Hands the journal to the kernel, folding it into the index when it has grown long.
    ///
    /// # Errors
    /// When either cannot be written.
    pub fn save(&mut self) -> Result<(), EngineError> {
        const LONG: u64 = 256 * 1024;
        if self.journal.len() > LONG {
            return self.fold();
        }
        Ok(self.journal.flush()?)
    }

    /// Writes the index and starts the journal again. A kill between the two leaves a journal of
    /// an older generation, which says nothing that the index does not know.
    fn fold(&mut self) -> Result<(), EngineError> {
        self.index.generation += 1;
        self.index.write(&self.paths.index())?;
        Ok(self.journal.restart(self.index.generation)?)
    }

    /// Nodes that run in this state whatever the entries say.
    pub fn restless(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.index.node_ids().filter(|&id| {
            let n = self.index.node(id);
            let known = matches!(n.status(), Status::Passed | Status::Skipped);
            !known || n.has(flag::ALWAYS)
        })
    }
}
