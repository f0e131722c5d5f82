//! What a kernel must compute: cases, arguments, fills, the reference, the tolerance.
//!
//! Not for: how it is compiled or measured. A problem belongs to the judge; the candidate never
//! edits it.

mod case;
mod check;
mod drawing;
pub mod expr;
pub mod file;
mod files;
mod fill;
mod fit;
mod identity;
mod launch;
mod load;
mod model;
mod reference;
mod signature;

pub use case::{
    CaseError, CaseWork, Staged, StagedArg, bytes_needed, draw_holdout, plan, size, stage, twin,
    work,
};
pub use drawing::Drawing;
pub use fill::{fill, fill_into};
pub use fit::{FillError, fits};
pub use identity::{asked_digest, canonical_digest};
pub use launch::{Geometry, LaunchError, geometry};
pub use load::{Loaded, load};
pub use model::{Arg, ArgKind, Case, CudaLaunch, Fill, Holdout, Problem, Role};
pub use reference::Reference;
pub use signature::{PROTOTYPE_INCLUDES, prototype};
