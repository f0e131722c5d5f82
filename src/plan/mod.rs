//! What must run, in what order, under which key.
//!
//! [`build::build`] turns a pipeline and its problem into a [`Plan`]: nodes in order, each with a
//! definition, the entries it reads and the files it writes. [`layout`] lays a plan out as the
//! index that a null run reads. [`key`] is the one recipe of keys and of their explanation.
//!
//! Not for: running, clocks, processes or the environment; files are seen through a given [`Host`](crate::host::Host).

pub mod build;
mod builder;
mod compile;
mod cuda;
pub mod glob;
pub mod graph;
pub mod incumbent;
mod incumbents;
pub mod kernel;
pub mod key;
mod kind;
pub mod layout;
pub mod only;
pub mod question;
mod role;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use kind::StageKind;
pub use question::Question;
pub use role::InputRole;

use crate::cache::Kind;
use crate::digest::Digest;
use crate::pipeline::{BenchWork, CheckWork, CommandWork, CompileWork, Direction, Target};
use crate::problem::Problem;

/// A graph of nodes, in an order in which everything comes after what it needs.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The pipeline's name.
    pub title: String,
    /// The nodes.
    pub nodes: Vec<PlanNode>,
    /// What the plan was made from: a change of any of these makes it anew.
    pub made_from: Vec<(Kind, String)>,
    /// Where it comes from.
    pub origin: Origin,
}

/// What every artifact says of the pipeline that it was measured for; kept with the plan, so that
/// nobody reads the file again for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The kernel's files, below the root.
    pub kernel: Vec<String>,
    /// The problem file, below the root; empty without one.
    pub problem: String,
    /// The device as it was asked for.
    pub device: String,
    /// The device that keys name.
    pub identity: String,
}

/// One node: a stage, one point of its matrix, or a compile that stages share.
#[derive(Debug, Clone)]
pub struct PlanNode {
    /// Its name, unique in the plan.
    pub name: String,
    /// What is kept of it for running.
    pub stored: StoredNode,
    /// What it needs, as positions in [`Plan::nodes`].
    pub needs: Vec<usize>,
    /// What it reads.
    pub inputs: Vec<(Kind, String)>,
    /// Files it writes, relative to the root.
    pub outputs: Vec<String>,
    /// Bits of [`crate::cache::index::flag`].
    pub flags: u32,
}

/// What running a node takes, as kept in the `defs` file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredNode {
    /// The stage it belongs to; for shared compiles the node's own name.
    pub stage: String,
    /// Folder that commands run in, relative to the root (empty: the root).
    pub dir: String,
    /// Condition over upstream results.
    pub when: Option<String>,
    /// What it does.
    pub definition: Definition,
    /// What its numbers answer, where it has some that can be compared.
    pub question: Option<Question>,
}

/// What a node does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "a plan has few nodes, and each is read once")]
pub enum Definition {
    /// Runs a command.
    Command(CommandWork),
    /// Compiles sources to a shared object, or a bundle for CUDA.
    Compile(Compile),
    /// Compares the kernel with the reference.
    Check(Check),
    /// Measures the kernel.
    Bench(Bench),
    /// Takes the best of a matrix.
    Best(Best),
}

/// A compile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compile {
    /// Sources relative to the root; the first defines the entry.
    pub sources: Vec<String>,
    /// Reduced to what the signature needs.
    pub problem: Problem,
    /// Compiler and flags.
    pub work: CompileWork,
    /// The resolved compiler; NVRTC's library where that compiles, empty where nothing does.
    pub compiler: String,
    /// Include folders, relative to the root.
    pub include_dirs: Vec<String>,
}

/// A check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What is to be computed; the reference's path is left out.
    pub problem: Problem,
    /// How much is compared.
    pub work: CheckWork,
    /// Where it runs.
    pub target: Target,
    /// What the sanitizer build is made from; none without it.
    pub build: Option<Sources>,
}

/// A kernel's sources and how they are compiled: for a stage that builds it once more with flags
/// of its own. What the sources hold enters a key through the built kernel, so that an edit that
/// leaves the binary as it is changes nothing here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sources {
    /// Relative to the root; the first defines the entry.
    pub sources: Vec<String>,
    /// The resolved compiler.
    pub compiler: String,
    /// Its flags, in order.
    pub flags: Vec<String>,
    /// `-D` definitions.
    pub defines: BTreeMap<String, String>,
    /// Include folders, relative to the root.
    pub include_dirs: Vec<String>,
}

/// A measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bench {
    /// What is to be computed; the reference's path is left out.
    pub problem: Problem,
    /// How it is measured.
    pub work: BenchWork,
    /// Where it runs.
    pub target: Target,
    /// What the kernel is built from, for stages that look into it.
    pub build: Option<Sources>,
    /// How people call what it is compared with; its binary is the third input.
    pub against: Option<String>,
    /// Under which key that was measured itself, where that is known.
    pub measured: Option<Digest>,
}

/// The best of a matrix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// By which result.
    pub by: String,
    /// Which way is better.
    pub better: Direction,
}

impl Definition {
    /// Where its kernel runs, where it launches one.
    pub fn target(&self) -> Option<&Target> {
        match self {
            Self::Check(check) => Some(&check.target),
            Self::Bench(bench) => Some(&bench.target),
            Self::Command(_) | Self::Compile(_) | Self::Best(_) => None,
        }
    }

    /// Its kind.
    pub fn kind(&self) -> StageKind {
        match self {
            Self::Command(_) => StageKind::Command,
            Self::Compile(_) => StageKind::Compile,
            Self::Check(_) => StageKind::Check,
            Self::Bench(_) => StageKind::Bench,
            Self::Best(_) => StageKind::Best,
        }
    }
}
