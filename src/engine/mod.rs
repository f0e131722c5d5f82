//! Runs a plan: states, pools, device leases, stage kinds, events.

pub mod stage;
