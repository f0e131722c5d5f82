//! Comparing outputs with the reference: what counts as equal, and what a mismatch report says.
