//! What tools say about a built kernel.
