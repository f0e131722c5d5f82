//! Tests of the wiring: rooms together, real compilers, real processes, and the program as people
//! run it on projects in folders of their own. One binary, so that it links once.

mod kernels;
mod support;
mod trials;
