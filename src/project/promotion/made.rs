//! What a kernel is built from, besides its own files: the project's headers, which belong to it,
//! and what does not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::DecisionContext;
use crate::cache::{Index, NodeId};
use crate::digest::Digest;
use crate::engine::explain::Forecast;
use crate::pipeline::CompileWork;
use crate::plan::Definition;
use crate::record::incumbent::{Build, Content};
use crate::record::ledger::Source;

/// Above this a file that a stage reads is data, and not part of what the kernel is.
const LARGEST: u64 = 16 << 20;

/// What a compile makes a kernel of.
pub(super) struct Made {
    pub(super) headers: Vec<Content>,
    pub(super) build: Build,
}

/// What the known result of a compile was made from. What another stage wrote is followed to what
/// that stage read: an edit there is an edit of the kernel.
///
/// # Errors
/// The file that has changed since, if it is one.
pub(super) fn of(
    context: &DecisionContext<'_>,
    forecast: &Forecast<'_>,
    compile: NodeId,
) -> Result<Made, Option<String>> {
    let index = &context.state.index;
    let mut headers = BTreeMap::new();
    let mut others = BTreeMap::new();
    let mut seen = BTreeSet::from([compile]);
    let mut next = vec![compile];
    while let Some(node) = next.pop() {
        for File { name, digest, is_tool } in files(&forecast.key_fields(node).ok_or(None)?) {
            if context.kernel.contains(&name) {
                continue;
            }
            let writer = writer_of(index, &name);
            next.extend(writer.filter(|writer| seen.insert(*writer)));
            let own = context.own(&name).filter(|_| writer.is_none() && !is_tool);
            let own = own.map(str::to_owned);
            match own.filter(|_| node == compile || is_small(context, &name)) {
                Some(own) => {
                    let bytes = fs::read(context.root().join(&name)).unwrap_or_default();
                    if Digest::of(&bytes) != digest {
                        return Err(Some(name));
                    }
                    headers.insert(own.clone(), Content { path: own, bytes });
                }
                None => {
                    others.insert(name.clone(), Source { path: name, digest });
                }
            }
        }
    }
    let others = others.into_values().collect();
    let build = Build { compile: way(context, compile).ok_or(None)?, others };
    Ok(Made { headers: headers.into_values().collect(), build })
}

/// How a node compiles; for how long it may is nothing of the kernel's.
fn way(context: &DecisionContext<'_>, compile: NodeId) -> Option<CompileWork> {
    match context.state.definition(compile).ok()?.definition {
        Definition::Compile(compile) => Some(CompileWork { timeout_ms: 0, ..compile.work }),
        _ => None,
    }
}

/// A file that enters a key.
struct File {
    name: String,
    digest: Digest,
    /// What runs, and is not read.
    is_tool: bool,
}

/// The files among the fields of a key; not those that were looked for in vain.
fn files(fields: &[(String, String)]) -> Vec<File> {
    let file = |(field, value): &(String, String)| {
        let (kind, name) = field.split_once(':')?;
        let is_tool = kind == "tool";
        let digest: Digest = value.parse().ok().filter(|_| is_tool || kind == "input")?;
        Some(File { name: name.to_owned(), digest, is_tool })
    };
    fields.iter().filter_map(file).filter(|file| !file.digest.is_none()).collect()
}

fn writer_of(index: &Index, name: &str) -> Option<NodeId> {
    let writes = |node: &NodeId| {
        let outputs = index.outputs(*node);
        outputs.iter().any(|&output| index.entry_name(output).1 == name)
    };
    index.node_ids().find(writes)
}

fn is_small(context: &DecisionContext<'_>, name: &str) -> bool {
    fs::metadata(context.root().join(name)).is_ok_and(|file| file.len() <= LARGEST)
}
