//! Where incumbents lie, as the plan asks for them.

use super::Question;
use crate::digest::Digest;

/// Where incumbents lie. The plan knows neither the store of the best nor git.
pub trait Incumbents {
    /// The best kept of what answers a question.
    fn best(&self, question: &Question) -> Standing;
    /// The first of it.
    fn baseline(&self, question: &Question) -> Standing;
    /// The kernel's files (below the root) as they are at a revision.
    ///
    /// # Errors
    /// Why there are none, in words.
    fn revision(&self, revision: &str, kernel: &[String]) -> Result<Found, String>;
    /// Where a file lies in a copy of the project's files, such as those of a revision: the folder
    /// that stands for the root there. What it includes comes from that copy too.
    fn copy(&self, path: &str) -> Option<String>;
}

/// The best so far, if any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// What changes when another becomes the best: plans are made anew then.
    pub watch: Vec<String>,
    /// The best.
    pub found: Option<Found>,
}

/// An incumbent on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Its binary as it was kept; none: it is built.
    pub binary: Option<String>,
    /// Its sources, in the order of the kernel's.
    pub sources: Vec<String>,
    /// Under which key it was measured itself, where that is known.
    pub measured: Option<Digest>,
    /// What changes when this may have become another: plans are made anew then.
    pub watch: Vec<String>,
}

/// Where there are none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nowhere;

impl Incumbents for Nowhere {
    fn best(&self, _: &Question) -> Standing {
        Standing::default()
    }
    fn baseline(&self, _: &Question) -> Standing {
        Standing::default()
    }
    fn revision(&self, _: &str, _: &[String]) -> Result<Found, String> {
        Err("no revisions can be had here".to_owned())
    }
    fn copy(&self, _: &str) -> Option<String> {
        None
    }
}
