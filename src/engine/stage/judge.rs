//! What checking and measuring share: cases staged with the reference's answers, comparisons,
//! and what a fault means for a stage.

mod agreed;
mod answers;
mod bench;
mod built;
mod drawn;
mod fault;
mod judged;
mod large;
mod limits;
mod room;
mod sets;
mod traced;

pub(super) use bench::{Bench, core, free_bytes};
pub(super) use built::{Built, load_what_fits};
pub(super) use drawn::{Drawn, Loaded, SetId, arguments, seed};
pub(super) use fault::{kept, kernel_failure};
pub(super) use judged::{Judged, outputs};
pub(super) use large::Load;
pub(super) use sets::Judge;
