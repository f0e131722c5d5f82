//! The driver's calls that a worker makes, each with its answer checked.
//!
//! Everything belongs to the one context of the process; what is made here gives itself back when
//! it is dropped. Called only after [`mod@super::probe`] has seen that library and calls are there:
//! without them cudarc panics.

mod call;
mod code;
mod context;
mod graph;
mod memory;
mod module;
mod queue;

pub(super) use call::{Error, Result};
pub(super) use code::{name, trouble};
pub(super) use context::{Context, start, uuid};
pub(super) use graph::Graph;
pub(super) use memory::{Memory, copy};
pub(super) use module::{Function, Module};
pub(super) use queue::{Event, Stream};

#[cfg(test)]
mod tests {
    use super::super::probe::CALLS;

    #[test]
    fn every_call_that_is_made_was_looked_for_first() {
        let code = [
            include_str!("driver/context.rs"),
            include_str!("driver/graph.rs"),
            include_str!("driver/memory.rs"),
            include_str!("driver/module.rs"),
            include_str!("driver/queue.rs"),
        ];
        let called = code.iter().flat_map(|code| code.split("call!(").skip(1));
        let called = called.filter_map(|rest| rest.split('(').next()).map(str::trim);
        let called: Vec<&str> = called.filter(|call| call.starts_with("cu")).collect();
        assert!(called.len() > 30, "{called:?}");
        for name in called {
            assert!(CALLS.contains(&name), "{name} would panic in a driver that lacks it");
        }
    }
}
