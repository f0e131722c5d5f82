//! `optloop graph`: a pipeline's stages and what they need.

use super::args::{Drawing, Format, GraphArgs};
use super::exit::Exit;
use super::lines::Line;
use super::lines::kept::{GraphLine, KEPT_VERSION};
use super::session::{Access, Session};
use super::ui::Ui;
use crate::cache::index::flag;
use crate::plan::graph::Graph;

/// Draws it.
pub(super) fn run(args: &GraphArgs, ui: &Ui) -> Exit {
    let session = match Session::open(&args.which, Access::Read, ui) {
        Ok(session) => session,
        Err(refusal) => return ui.refuse(&refusal),
    };
    let (names, needs) = session.names_and_needs();
    if ui.format == Format::Json {
        for (node, (name, needed)) in names.iter().zip(&needs).enumerate() {
            ui.json(&Line::GraphStage(GraphLine {
                version: KEPT_VERSION,
                stage: name.clone(),
                needs: needed.iter().map(|&n| names[n].clone()).collect(),
                implicit: session.state.index.nodes[node].has(flag::IMPLICIT),
            }));
        }
        return Exit::Ok;
    }
    let graph = Graph::new(&needs);
    let index = &session.state.index;
    let title = index.name(index.title.start, index.title.len);
    ui.text(&match args.drawing {
        Drawing::Tree => graph.tree(&names),
        Drawing::Dot => graph.dot(title, &names),
        Drawing::Mermaid => graph.mermaid(&names),
    });
    Exit::Ok
}
