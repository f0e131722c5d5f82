//! How a CUDA kernel is built.
