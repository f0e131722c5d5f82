//! Looking into kernels: what tools say about a built one, and one launched alone for those that
//! watch it.

pub mod ncu;
pub mod replay;
pub mod resources;
pub mod sanitizer;
