//! The program as people run it, on projects in folders of their own. One binary, so that it
//! links once.

mod artifact;
mod cache;
mod clocks;
mod compare;
mod cuda;
mod cuda_tools;
mod depends;
#[path = "../cuda/mod.rs"]
mod driver;
mod explain;
mod graph;
mod inspect;
mod keep;
mod kernel;
mod kills;
mod machine;
mod replay;
mod support;
mod trials;
