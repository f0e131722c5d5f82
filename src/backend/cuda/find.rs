//! Where the CUDA libraries and tools lie.
