//! Inputs as they are drawn, and as the backend takes them.

use crate::backend::{Argument, Draw};
use crate::problem::{Drawing, Role, Staged, StagedArg};

/// Inputs of one launch with the reference's outputs.
pub(in crate::engine::stage) struct Drawn {
    pub(in crate::engine::stage) staged: Staged,
    /// Empty where the reference was not asked yet: of a large set it is when that is loaded.
    pub(in crate::engine::stage) want: Vec<Vec<u8>>,
    /// What the inputs are drawn from, and only they.
    pub(in crate::engine::stage) seed: u64,
}

impl Draw for Drawing {
    fn bytes(&self) -> usize {
        Self::bytes(self)
    }

    fn draw(&self, into: &mut [u8]) {
        Self::draw(self, into);
    }
}

/// A set of the pool.
#[derive(Clone, Copy)]
pub(in crate::engine::stage) struct SetId {
    pub(in crate::engine::stage) case: usize,
    pub(in crate::engine::stage) set: u32,
}

/// A set that a session has loaded.
#[derive(Clone, Copy)]
pub(in crate::engine::stage) struct Loaded<'a> {
    pub(in crate::engine::stage) case: usize,
    pub(in crate::engine::stage) drawn: &'a Drawn,
    /// Its number among those that are loaded.
    pub(in crate::engine::stage) slot: u32,
}

/// The staged arguments as the backend takes them.
pub(in crate::engine::stage) fn arguments(staged: &Staged) -> Vec<Argument<'_>> {
    let argument = |arg| match arg {
        &StagedArg::Scalar { dtype, ref bytes, .. } => {
            Argument::Scalar(&bytes[..dtype.size_bytes()])
        }
        StagedArg::Later { role: Role::Inout, drawing, .. } => Argument::DrawnInout(drawing),
        StagedArg::Later { drawing, .. } => Argument::Drawn(drawing),
        StagedArg::Buffer { role: Role::In, data, .. } => Argument::In(data),
        StagedArg::Buffer { role: Role::Out, data, .. } => Argument::Out(data.len()),
        StagedArg::Buffer { role: Role::Inout, data, .. } => Argument::Inout(data),
    };
    staged.args.iter().map(argument).collect()
}

/// A seed that nobody can foresee, unless one is given.
pub(in crate::engine::stage) fn seed(given: Option<u64>) -> u64 {
    given.unwrap_or_else(rand::random)
}
