//! Why a stage would run.
