//! `optloop graph`: a pipeline's stages and what they need.

use super::args::{Drawing, Format, GraphArgs};
use super::exit::Exit;
use super::lines::Line;
use super::lines::kept::{GraphLine, KEPT_VERSION};
use super::ui::Ui;
use crate::cache::index::flag;
use crate::plan::graph::Graph;
use crate::project::Access;

/// Draws it.
pub(super) fn run(args: &GraphArgs, ui: &Ui) -> Exit {
    let opened = args
        .which
        .find()
        .and_then(|project| project.open(args.which.overrides(&project), Access::Read, &[ui]));
    let opened = match opened {
        Ok(opened) => opened,
        Err(error) => return ui.refuse(&error.into()),
    };
    let (names, needs) = opened.names_and_needs();
    if ui.format == Format::Json {
        for (node, (name, needed)) in names.iter().zip(&needs).enumerate() {
            ui.json(&Line::GraphStage(GraphLine {
                version: KEPT_VERSION,
                stage: name.clone(),
                needs: needed.iter().map(|&n| names[n].clone()).collect(),
                implicit: opened.state.index.nodes[node].has(flag::IMPLICIT),
            }));
        }
        return Exit::Ok;
    }
    let graph = Graph::new(&needs);
    ui.text(&match args.drawing {
        Drawing::Tree => graph.tree(&names),
        Drawing::Dot => graph.dot(opened.title(), &names),
        Drawing::Mermaid => graph.mermaid(&names),
    });
    Exit::Ok
}
