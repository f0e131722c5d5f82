//! The baseline: the first kernel that passes a stage which is to be compared with the best.

use super::ui::Ui;
use super::world::{self, Disk};
use super::{incumbents, words};
use crate::cache::index::{Index, flag};
use crate::cache::{Action, Status};
use crate::plan::layout;
use crate::project::promotion::{self, Differs, Former, Ground, Measured, Refused};
use crate::record::Place;

use super::session::Session;

/// After a run: the baseline of each place that has none, from what passed now or is known. The plan
/// knows which stages these are, so that nobody reads the pipeline for it.
pub(super) fn set(session: &Session, selected: &[usize], ui: &Ui) {
    let index = &session.state.index;
    let wanted = |n: &u32| selected.is_empty() || selected.contains(&(*n as usize));
    let due = (0..index.nodes.len() as u32)
        .filter(|&n| index.nodes[n as usize].has(flag::FIRST) && wanted(&n) && passed(index, n));
    // The last word on a kernel comes from the last of its stages.
    for node in due.collect::<Vec<_>>().into_iter().rev() {
        let known = session.state.store.action(&index.nodes[node as usize].key);
        let question = session.state.definition(node).ok().and_then(|stored| stored.question);
        if let (Some(known), Some(question)) = (known, question) {
            of_node(session, node, (&known, incumbents::place(&question)), ui);
        }
    }
}

/// Whether a node passed, and all that it needs.
fn passed(index: &Index, node: u32) -> bool {
    let mut seen = vec![false; index.nodes.len()];
    let mut open = vec![node];
    while let Some(next) = open.pop() {
        let n = &index.nodes[next as usize];
        if !matches!(n.status(), Status::Passed | Status::Skipped) {
            return false;
        }
        if !std::mem::replace(&mut seen[next as usize], true) {
            open.extend(index.ids(n.needs));
        }
    }
    index.nodes[node as usize].status() == Status::Passed
}

fn of_node(session: &Session, node: u32, (known, place): (&Action, Place), ui: &Ui) {
    let index = &session.state.index;
    let (state, of) = (&session.state.paths.state, place.words());
    let ground = Ground {
        state: &session.state,
        host: &Disk,
        stage: index.node_name(node),
        kernel: &layout::origin(index).kernel,
        place,
        copy: None,
        recipe: None,
        at: jiff::Timestamp::now().to_string(),
    };
    let set = Measured::read(state, &state.join(&known.artifact))
        .map_err(Refused::Unread)
        .and_then(|measured| {
            let former = promotion::former(&ground, &measured);
            Ok(promotion::baseline(&ground, &measured)?.map(|_| former))
        });
    match set {
        Ok(None) => {}
        Ok(Some(None)) => ui.note(&format!("{of}: this kernel is the baseline")),
        Ok(Some(Some(former))) => ui.note(&format!("{of}: {}", new_line(&former))),
        Err(Refused::Unfit(why, to_do)) => {
            ui.note(&format!("{of}: no baseline is set: {why}; {to_do}"));
        }
        Err(Refused::Broken(error)) => {
            ui.complain(&format!("warning: {of}: no baseline is set: {error}"));
        }
        Err(Refused::Unread(why) | Refused::Verdict(_, why)) => {
            ui.complain(&format!("warning: {of}: no baseline is set: {why}"));
        }
    }
}

/// Says that there was a best of the same name, and why this kernel is not compared with it.
fn new_line(Former { incumbent, differs }: &Former) -> String {
    let what = match differs {
        Differs::Problem => "the problem changed",
        Differs::Command => "the command changed",
        Differs::Machine => "the machine or a setting of it changed",
    };
    let at: Option<jiff::Timestamp> = incumbent.at.parse().ok();
    let at = at.map_or_else(|| incumbent.at.clone(), |at| words::age(at.as_millisecond()));
    format!(
        "{what} since the best so far was set ({at}): this kernel is the baseline of a new line; \
         the old one stays in {}",
        world::shown(incumbent.folder()).display()
    )
}
