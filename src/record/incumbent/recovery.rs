//! What a killed process began is ended by the next one.

use std::path::Path;

use super::intent::{Commit, Intent, pending};
use super::transition::{Finished, finish, take_back};
use crate::record::error::RecordError;
use crate::record::ledger;

/// How a transition that was found was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// As it was meant.
    Forward,
    /// As if it had never begun: its commit had not been made.
    Back,
}

/// A transition that was found and ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Recovered {
    /// What it was.
    pub intent: Intent,
    /// Which way.
    pub end: End,
    /// What people should know about it.
    pub warnings: Vec<String>,
}

/// Ends the transition that a killed process left, if it left one. Recovery may itself be killed
/// and called again.
///
/// A keep that wanted a commit and is not in the ledger yet asks `git`: a commit's id (of one made
/// before, or made now) rolls it forward, `None` rolls it back. Everything else goes forward.
///
/// The caller holds the state's lock.
///
/// # Errors
/// What `git` says, or what could not be read or written; the intent is still there then.
pub fn recover<E: From<RecordError>>(
    state: &Path,
    git: &mut dyn FnMut(&Intent) -> Result<Option<String>, E>,
) -> Result<Option<Recovered>, E> {
    let Some(intent) = pending(state)? else {
        return Ok(None);
    };
    let recorded = ledger::read(state)?.of_intent(&intent.id).cloned();
    let asks = recorded.is_none() && intent.commit == Commit::Wanted;
    let commit = if asks { git(&intent)? } else { recorded.and_then(|line| line.commit) };
    if asks && commit.is_none() {
        abandon(state, &intent)?;
        return Ok(Some(Recovered { intent, end: End::Back, warnings: Vec::new() }));
    }
    let Finished { warnings, .. } = finish(state, intent.clone(), commit)?;
    Ok(Some(Recovered { intent, end: End::Forward, warnings }))
}

/// Rolls a baseline or keep back whose commit could not be made: the intent goes, then the folder
/// that would have been the incumbent's.
///
/// The caller holds the state's lock.
///
/// # Errors
/// For a revert, which may have written files; for a transition that the ledger knows; and what
/// could not be removed.
pub fn abandon(state: &Path, intent: &Intent) -> Result<(), RecordError> {
    if !intent.installs() {
        return Err(RecordError::Begun(intent.line.event));
    }
    if ledger::read(state)?.of_intent(&intent.id).is_some() {
        return Err(RecordError::Recorded(intent.line.event));
    }
    take_back(state, intent)
}
