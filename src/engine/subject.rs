//! A node with everything its key depends on, and the questions that `explain` asks as well as a
//! run: which key it has now, whether a result is kept under it, and if not, why not.

use std::collections::HashMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

use super::account::StageRecord;
use super::condition::{self, ConditionError, Results};
use super::event::Reason;
use super::seen::Seen;
use crate::cache::entry::{self, Clock, Stat};
use crate::cache::index::flag;
use crate::cache::{Action, EntryId, Index, Kind, NodeId, Status, Store};
use crate::digest::Digest;
use crate::host::Host;
use crate::pipeline::{COMPARED, CommandWork, KernelFile, Reuse};
use crate::plan::kernel::REFERENCE;
use crate::plan::key::{self, Walk};
use crate::plan::{Bench, Definition, InputRole, StoredNode};

/// A node to be looked at.
pub(super) struct Job {
    pub(super) node: NodeId,
    pub(super) name: String,
    pub(super) stored: StoredNode,
    pub(super) inputs: Vec<Known>,
    pub(super) discovered: Vec<Known>,
    pub(super) outputs: Vec<Known>,
    pub(super) old_key: Digest,
    pub(super) status: Status,
    pub(super) flags: u32,
    pub(super) expected_us: u64,
    /// For the best of a matrix: its members that passed, with their keys.
    pub(super) members: Vec<(String, Digest)>,
}

/// An entry as the index knows it.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) entry: Option<EntryId>,
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) stat: Stat,
    pub(super) digest: Digest,
    pub(super) stamp_ns: i64,
}

/// A result that is known.
pub(super) struct Hit {
    pub(super) key: Digest,
    pub(super) action: Action,
    /// What of it the stage kind recorded.
    pub(super) record: Option<StageRecord>,
    pub(super) discovered: Vec<Known>,
    /// Whether it is kept under its key; else it is the incumbent's, and to be kept.
    pub(super) is_kept: bool,
}

impl Hit {
    /// A result under its key; none where its record cannot be understood.
    fn kept(key: Digest, action: Action, discovered: Vec<Known>) -> Option<Self> {
        let record = StageRecord::decode(&action.detail).ok()?;
        Some(Self { key, action, record, discovered, is_kept: true })
    }
}

/// How the disk is looked at.
#[derive(Clone, Copy)]
pub(super) struct Eyes<'a> {
    pub(super) root_fd: BorrowedFd<'a>,
    pub(super) host: &'a dyn Host,
    /// The file that tells the file system's time; `None` leaves the disk as it is, and nothing
    /// seen is then vouched for by its stat fields later.
    pub(super) clock: Option<&'a Clock>,
    /// Contents, with permission bits, that are not on disk yet but will be.
    pub(super) given: Option<&'a HashMap<String, (Digest, u32)>>,
}

impl Eyes<'_> {
    pub(super) fn clock_ns(&self) -> i64 {
        self.clock.and_then(|c| c.now_ns().ok()).unwrap_or(i64::MIN)
    }

    /// Brings a known entry up to date with the disk, hashing only when its stat fields cannot
    /// vouch.
    pub(super) fn look_again(&self, known: &mut Known) -> io::Result<()> {
        if let Some(&(digest, mode)) = self.given.and_then(|g| g.get(&known.name)) {
            // What was loaded with a kernel that will be put back is what will be again.
            if known.kind == Kind::File {
                known.digest = digest;
                known.stat.mode = mode.into();
            }
            return Ok(());
        }
        if known.kind == Kind::Loads {
            // The kernel may have been built since all values were looked at.
            let value = entry::measure_value(self.root_fd, known.kind, &known.name, self.host);
            known.digest = value.unwrap_or(known.digest);
        }
        if !known.kind.on_disk() {
            return Ok(());
        }
        let read =
            |e: io::Error| io::Error::new(e.kind(), format!("cannot read {}: {e}", known.name));
        let stat = entry::stat_path(self.root_fd, &known.name).map_err(read)?;
        let vouched = stat == known.stat
            && known.stamp_ns != i64::MIN
            && (stat.is_missing() || stat.newest_ns() < known.stamp_ns);
        if !vouched {
            let stamp_ns = self.clock_ns();
            (known.stat, known.digest) =
                entry::measure(self.root_fd, known.kind, &known.name, self.host).map_err(read)?;
            known.stamp_ns = stamp_ns;
        }
        Ok(())
    }
}

impl Known {
    pub(super) fn new(entry: Option<EntryId>, kind: Kind, name: &str) -> Self {
        let (stat, digest) = (Stat::default(), Digest::default());
        Self { entry, kind, name: name.to_owned(), stat, digest, stamp_ns: i64::MIN }
    }

    fn of(index: &Index, entry: EntryId) -> Self {
        let (kind, name) = index.entry_name(entry);
        let e = index.entry(entry);
        let stamp_ns = if e.fresh == 0 { e.stamp_ns } else { i64::MIN };
        let (stat, digest, name) = (e.stat, e.digest, name.to_owned());
        Self { entry: Some(entry), kind, name, stat, digest, stamp_ns }
    }

    /// What was discovered under this name: a folder's ends with a `/`.
    fn parse(spelled: &str) -> (Kind, &str) {
        match spelled.strip_suffix('/') {
            Some(folder) => (Kind::Listing, folder),
            None => (Kind::File, spelled),
        }
    }

    /// The name under which it is discovered again.
    pub(super) fn spelled(&self) -> String {
        match self.kind {
            Kind::Listing => format!("{}/", self.name),
            _ => self.name.clone(),
        }
    }

    /// As something to make known, unless it is a value that stays the same during a run or has
    /// no entry yet.
    pub(super) fn seen(&self) -> Option<Seen> {
        let changes = self.kind.on_disk() || self.kind == Kind::Loads;
        Some(Seen {
            entry: self.entry.filter(|_| changes)?,
            stat: self.stat,
            digest: self.digest,
            stamp_ns: if self.kind.on_disk() { self.stamp_ns } else { 0 },
        })
    }
}

impl Job {
    /// True for the compile of a problem's reference.
    pub(super) fn is_reference(&self) -> bool {
        let named = self.name == REFERENCE || self.name.starts_with("reference(");
        named && self.flags & flag::IMPLICIT != 0
    }

    /// The node as the index knows it.
    pub(super) fn of(index: &Index, node: NodeId, stored: StoredNode) -> Self {
        let n = index.node(node);
        let all = |entries: &[EntryId]| entries.iter().map(|&e| Known::of(index, e)).collect();
        let members = index.needs(node).iter().filter(|_| n.has(flag::FOLLOWS));
        Self {
            node,
            name: index.node_name(node).to_owned(),
            inputs: all(index.inputs(node)),
            discovered: all(index.discovered(node)),
            outputs: all(index.outputs(node)),
            old_key: n.key,
            status: n.status(),
            flags: n.flags,
            expected_us: n.duration_us,
            members: members
                .filter(|&&m| index.node(m).status() == Status::Passed)
                .map(|&m| (index.node_name(m).to_owned(), index.node(m).key))
                .collect(),
            stored,
        }
    }

    /// The walk over what it declares: its definition, then its inputs in canonical order. What it
    /// is compared with is one of these, the very same code too: a kernel that had nothing beside it
    /// and one that had itself are two results.
    pub(super) fn declared_walk(&self) -> Walk {
        let outputs: Vec<&str> = self.outputs.iter().map(|o| o.name.as_str()).collect();
        let mut walk = Walk::declared(&self.stored, &outputs);
        let is_command = matches!(self.stored.definition, Definition::Command(_));
        let inputs = self.inputs.iter().enumerate();
        let mut inputs: Vec<(Kind, &str, &Known)> =
            inputs.map(|(i, k)| (k.kind, self.role(i), k)).collect();
        inputs.sort_unstable_by_key(|(kind, name, known)| (*kind, *name, known.digest));
        for (kind, name, known) in inputs {
            walk.entry(kind, name, &known.digest);
            // A command may run what it reads.
            if is_command && kind == Kind::File && known.stat.is_executable() {
                walk.field(&format!("mode:{name}"), "executable");
            }
        }
        for (member, key) in &self.members {
            walk.field(&format!("member:{member}"), &key.hex());
        }
        walk
    }

    /// The inputs that are the incumbent, where that is the very kernel that is measured: then there
    /// is nothing to compare.
    pub(super) fn itself(&self) -> Option<Vec<usize>> {
        let digest = |position: usize| self.inputs.get(position).map(|k| k.digest);
        match &self.stored.definition {
            Definition::Bench(Bench { against: Some(_), .. }) => {
                let [kernel, incumbent] =
                    [InputRole::Kernel, InputRole::Incumbent].map(InputRole::position);
                (digest(incumbent) == digest(kernel)).then(|| vec![incumbent])
            }
            Definition::Command(CommandWork { kernel, opponent: Some(opponent), .. }) => {
                let at = |name: &String| {
                    let is = |k: &Known| k.kind == Kind::File && k.name == *name;
                    self.inputs.iter().position(is)
                };
                let same = |(file, theirs): (&KernelFile, &String)| {
                    let (ours, theirs) = (digest(at(&file.file)?)?, digest(at(theirs)?)?);
                    Some(ours == theirs && !ours.is_none())
                };
                let mut pairs = kernel.iter().zip(&opponent.kernel);
                let all = pairs.all(|pair| same(pair) == Some(true));
                let ours = |name: &&String| kernel.iter().any(|file| file.file == **name);
                let theirs = opponent.kernel.iter().filter(|name| !ours(name));
                all.then(|| theirs.filter_map(at).collect())
            }
            _ => None,
        }
    }

    /// What an input is called in the key. Binaries count by what they are, not where this
    /// pipeline keeps them, so that two pipelines share a measurement of the same binary.
    pub(super) fn role(&self, position: usize) -> &str {
        let input = &self.inputs[position];
        let role = match input.kind {
            // The libraries of a binary count as it does.
            Kind::Loads => self.inputs.iter().position(|other| other.name == input.name),
            _ => Some(position),
        };
        let role = role.and_then(|at| InputRole::of(&self.stored.definition, at));
        role.map_or(&input.name, |role| role.word())
    }

    /// A kept result under the current key. Where files are discovered while running, every set
    /// that earlier runs discovered is tried, the newest first.
    pub(super) fn kept(&self, declared: &Walk, store: &Store, eyes: &Eyes<'_>) -> Option<Hit> {
        if self.flags & flag::DISCOVERS == 0 {
            let key = declared.digest();
            return Hit::kept(key, store.action(&key)?, Vec::new());
        }
        let sets = store.discoveries(&declared.digest());
        sets.iter().rev().find_map(|names| {
            let discovered = self.know_names(names, eyes).ok()?;
            let key = with_discovered(declared.clone(), &discovered).digest();
            Hit::kept(key, store.action(&key)?, discovered)
        })
    }

    /// The named files and folders as they are now, through what is known of them.
    ///
    /// # Errors
    /// The first that cannot be read.
    pub(super) fn know_names(&self, names: &[String], eyes: &Eyes<'_>) -> io::Result<Vec<Known>> {
        let known: HashMap<(Kind, &str), &Known> =
            self.discovered.iter().map(|k| ((k.kind, k.name.as_str()), k)).collect();
        let one = |spelled: &String| {
            let (kind, name) = Known::parse(spelled);
            let mut known = known
                .get(&(kind, name))
                .map_or_else(|| Known::new(None, kind, name), |&k| k.clone());
            eyes.look_again(&mut known)?;
            Ok(known)
        };
        names.iter().map(one).collect()
    }

    /// The fields in which its key now differs from that of its last good run; `None` when there
    /// was no such run.
    pub(super) fn changes(
        &self,
        declared: &Walk,
        store: &Store,
        eyes: &Eyes<'_>,
    ) -> Option<Vec<key::Change>> {
        let old = store.action(&self.old_key)?;
        let names: Vec<String> = self.discovered.iter().map(Known::spelled).collect();
        let discovered = self.know_names(&names, eyes).unwrap_or_default();
        let (_, new) = with_discovered(declared.clone(), &discovered).finish();
        Some(key::changes(&old.fields, &new))
    }

    /// Why the record of its last good run cannot be understood.
    fn misunderstood(&self, store: &Store) -> Option<String> {
        let why = StageRecord::decode(&store.action(&self.old_key)?.detail).err()?;
        Some(why.to_string())
    }

    /// Why it has no result under its key.
    pub(super) fn why(&self, declared: &Walk, store: &Store, eyes: &Eyes<'_>) -> Reason {
        if self.flags & flag::ALWAYS != 0 {
            let unsure = matches!(&self.stored.definition,
                Definition::Command(work) if work.cache == Reuse::Unsure);
            return if unsure { Reason::NoInputs } else { Reason::Always };
        }
        if self.status == Status::Started {
            return Reason::Unfinished;
        }
        match self.changes(declared, store, eyes) {
            None => Reason::NeverRan,
            // The key is what it was then.
            Some(changes) if changes.is_empty() => match self.misunderstood(store) {
                Some(what) => Reason::NotUnderstood { what },
                None => Reason::NotPassed,
            },
            Some(changes) => Reason::Changed { changes },
        }
    }
}

/// Adds what was discovered to a walk over what is declared.
pub(super) fn with_discovered(mut walk: Walk, discovered: &[Known]) -> Walk {
    let mut sorted: Vec<&Known> = discovered.iter().collect();
    sorted.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    for known in sorted {
        walk.entry(known.kind, &known.name, &known.digest);
    }
    walk
}

/// What a `when` may read: the index, and under which key each node's numbers are kept.
pub(super) struct Readable<'a> {
    pub(super) index: &'a Index,
    pub(super) store: &'a Store,
    /// Whether a node has passed, and its key.
    pub(super) result: &'a dyn Fn(NodeId) -> (bool, Digest),
}

impl Readable<'_> {
    /// Whether the condition of `node` holds.
    pub(super) fn holds(&self, node: NodeId, expression: &str) -> Result<bool, ConditionError> {
        let mut results = Results::new();
        let wanted = condition::stages_read(expression);
        for other in self.index.node_ids() {
            let name = self.index.node_name(other);
            if other == node || !wanted.contains(&name.replace('-', "_")) {
                continue;
            }
            let (passed, key) = (self.result)(other);
            let seconds = self.index.node(other).duration_us as f64 / 1e6;
            results.insert(condition::variable(name, "passed"), f64::from(u8::from(passed)));
            results.insert(condition::variable(name, "seconds"), seconds);
            // Where there was nothing to compare with there is no gain.
            for compared in COMPARED {
                results.insert(condition::variable(name, compared), 0.0);
            }
            let Some(action) = self.store.action(&key) else { continue };
            for (metric, value) in action.metrics.iter() {
                results.insert(condition::variable(name, metric), value);
            }
            // Yes is 1 there, and no is 0.
            let record = StageRecord::decode(&action.detail).ok().flatten();
            for (flag, holds) in record.iter().flat_map(StageRecord::flags) {
                results.insert(condition::variable(name, flag), f64::from(u8::from(holds)));
            }
        }
        condition::holds(expression, &results)
    }
}
/// The artifact of a result that is kept, where it is gone or was never written: a run that was
/// killed keeps a result a moment before its artifact. Nothing can be decided without it.
pub(super) fn lost_artifact(action: &Action, state_dir: &Path) -> Option<String> {
    let is_lost = !action.artifact.is_empty() && !state_dir.join(&action.artifact).exists();
    is_lost.then(|| action.artifact.clone())
}
