//! The best of the same name that a new line of incumbents leaves behind, and why.

use super::{DecisionContext, Measured};
use crate::plan::StageKind;
use crate::record::Artifact;
use crate::record::incumbent::{self, Incumbent};
use crate::record::ledger::Place;

/// What is another than it was when a best was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Differs {
    /// The problem: its cases, arguments, tolerance or reference.
    Problem,
    /// The command whose number it is.
    Command,
    /// The machine, or a setting of it.
    Machine,
}

/// A best that a kernel is not compared with.
#[derive(Debug, Clone, PartialEq)]
pub struct Former {
    /// It.
    pub incumbent: Incumbent,
    /// Why not.
    pub differs: Differs,
}

/// The latest best of the same name that answers another question, or lies on another machine; none
/// where people asked for something else themselves: another device, metric or mode.
pub fn former(context: &DecisionContext<'_>, measured: &Measured) -> Option<Former> {
    let state = context.folder();
    let named = incumbent::of_name(state, &context.place.problem).into_iter();
    let former = named.filter(|other| {
        let artifact = Artifact::read(&state.join(&other.artifact));
        // Where that is gone the name is all there is.
        artifact.map_or(true, |then| same_subject(&then, &measured.artifact))
    });
    let former = former.filter_map(|incumbent| {
        let differs = differs(&incumbent.place, &context.place)?;
        Some(Former { incumbent, differs })
    });
    former.max_by(|one, other| one.incumbent.at.cmp(&other.incumbent.at))
}

/// Whether two artifacts are about one problem file, or about one stage of one pipeline where it is a
/// command's number: two problems of a name have nothing to do with each other.
fn same_subject(then: &Artifact, now: &Artifact) -> bool {
    if now.kind == StageKind::Bench {
        return then.provenance.problem == now.provenance.problem;
    }
    then.provenance.pipeline == now.provenance.pipeline && then.stage == now.stage
}

fn differs(then: &Place, now: &Place) -> Option<Differs> {
    if then.metric != now.metric {
        return None;
    }
    if then.question != now.question && then.device == now.device {
        // What was filed before questions were known says nothing of its mode.
        let asked = then.mode == now.mode || then.question.is_none();
        let differs = if now.mode.is_empty() { Differs::Command } else { Differs::Problem };
        return asked.then_some(differs);
    }
    // `cpu-all` of `cpu-all-e499f0dd`.
    let asked = |place: &Place| place.device.rsplit_once('-').map(|(asked, _)| asked.to_owned());
    let moved = then.device != now.device && asked(then) == asked(now);
    let same = then.question == now.question && then.mode == now.mode;
    (moved && same).then_some(Differs::Machine)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn place(question: &[u8], device: &str, mode: &str) -> Place {
        Place {
            problem: "p".to_owned(),
            question: Digest::of(question),
            device: device.to_owned(),
            metric: "m".to_owned(),
            mode: mode.to_owned(),
        }
    }

    #[test]
    fn a_best_is_left_behind_by_a_change_that_nobody_asked_for() {
        let now = place(b"now", "cpu-aa", "hot");
        let unfiled = Place { question: Digest::default(), mode: String::new(), ..now.clone() };
        let command = |question| place(question, "cpu-aa", "");
        for (then, now, expected) in [
            (place(b"then", "cpu-aa", "hot"), &now, Some(Differs::Problem)),
            (unfiled, &now, Some(Differs::Problem)),
            (command(b"then"), &command(b"now"), Some(Differs::Command)),
            (place(b"now", "cpu-bb", "hot"), &now, Some(Differs::Machine)),
            (place(b"now", "cpu-all-aa", "hot"), &now, None),
            (place(b"now", "cpu-aa", "cold"), &now, None),
            (place(b"then", "cpu-aa", "cold"), &now, None),
            (place(b"then", "cpu-bb", "hot"), &now, None),
            (Place { metric: "x".into(), ..place(b"then", "cpu-aa", "hot") }, &now, None),
            (now.clone(), &now, None),
        ] {
            assert_eq!(differs(&then, now), expected, "{then:?}");
        }
    }
}
