//! Tests of the wiring: rooms together, real compilers, real processes. One binary, so that it
//! links once.

mod kernels;
