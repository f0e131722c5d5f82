//! optloop makes kernel optimisation a build.
//!
//! The journey of one run, in the order of the rooms it passes:
//! [`pipeline`] reads the TOML into a `Pipeline`; [`problem`] says what a kernel must compute;
//! [`plan`] turns both into a graph of nodes with keys; [`cache`] says which of them are known;
//! [`engine`] runs the rest through [`process`], [`backend`] and [`measure`], with numbers from
//! [`stats`] and comparisons from [`verify`]; [`record`] keeps what happened; [`project`] is all of it for one
//! project, and decides what becomes of candidates; [`cli`] prints it.
//!
//! Rooms are listed in floor order: each may use only rooms above it in this list that stand on
//! a lower floor (`tests/tidy.rs` holds the table).

// leaves: hashing, formulas, paths as text, what is seen of the machine
pub mod digest;
pub mod expression;
pub mod host;
pub mod paths;
// maths, comparators, spawning, copies of a project, spans
pub mod diagnostic;
pub mod process;
pub mod stats;
pub mod tree;
pub mod verify;
// the TOML | cases, args, fills | store, keys, reasons | CPU, CUDA, fake | git
pub mod backend;
pub mod cache;
pub mod git;
pub mod pipeline;
pub mod problem;
// what must run, under which key | the sampling protocol
pub mod measure;
pub mod plan;
// runs a plan
pub mod engine;
// what is on disk
pub mod record;
// a project as a library: find, open, run, compare, decide
pub mod project;
// the keep/revert loop
pub mod campaign;
// argv to one call to text or JSON to an exit code
pub mod cli;
