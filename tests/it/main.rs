//! optloop as people use it: the real program on real projects in folders of their own.

mod kernels;
mod support;
mod trials;
