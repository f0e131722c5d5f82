//! Comparing outputs where they lie, with the host's comparison as the last word.

use super::drawn::{Loaded, SetId};
use super::judged::{InParts, Judged, PART};
use super::sets::Judge;
use crate::backend::{Fault, Session};
use crate::digest::Digest;
use crate::measure::SlotEnd;

/// Of so many sets that a device finds right, about one is looked at by the host too.
const SPOTS: u32 = 8;

impl Judge<'_> {
    /// Compares what a launch on a set of the pool left; `outputs` are buffers to read into.
    pub(in crate::engine::stage) fn check(
        &self,
        id: SetId,
        session: &mut dyn Session,
        outputs: &mut Vec<Vec<u8>>,
    ) -> Result<(), SlotEnd> {
        let SetId { case, set } = id;
        let drawn = &self.pools[case][set as usize];
        let told = session.agrees(set, &drawn.want, &self.like)?;
        if told == Some(true) && !rand::random::<u32>().is_multiple_of(SPOTS) {
            return Ok(());
        }
        if self.is_large(case) {
            let (judged, _) = self.compare_in_parts(Loaded { case, drawn, slot: set }, session)?;
            return settled(told, &judged);
        }
        session.outputs_into(set, outputs)?;
        settled(told, &self.compare(case, set, outputs))
    }

    /// Compares what a launch on a set left, where it lies, with what the reference left; and a digest
    /// of each output.
    pub(in crate::engine::stage) fn compare_in_parts(
        &self,
        loaded: Loaded<'_>,
        session: &mut dyn Session,
    ) -> Result<(Judged, Vec<Digest>), Fault> {
        let Loaded { case, drawn, slot } = loaded;
        if self.is_large(case) {
            (self.bench.ctx.progress)(0.0, &format!("comparing, {}", self.cases[case].label));
        }
        let parts = InParts::new(self.problem, &drawn.staged, &drawn.want);
        session
            .outputs_in_parts(slot, PART, &|output, start, got| parts.look(output, start, got))?;
        let (judged, digests) = parts.judged();
        Ok((if self.is_secret(case) { judged.withheld() } else { judged }, digests))
    }
}

/// What follows from what the device said, if it said anything, and what the host found.
fn settled(told: Option<bool>, judged: &Judged) -> Result<(), SlotEnd> {
    let report = || judged.reports.join("\n");
    match (told, judged.passed()) {
        (Some(true), false) => Err(differ(&format!("only the host's finds this: {}", report()))),
        (Some(false), true) => Err(differ("only the device's finds a mismatch")),
        (_, true) => Ok(()),
        (_, false) => Err(SlotEnd::Wrong(report())),
    }
}

fn differ(how: &str) -> SlotEnd {
    let what = format!(
        "device and host comparisons differ: {how}; run `optloop doctor`, and report it if it \
         comes again"
    );
    SlotEnd::Fault(Fault::Infrastructure { what })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_has_the_last_word_and_a_disagreement_is_nobodys_mistake() {
        let right = Judged::default();
        let wrong = Judged { reports: vec!["y[3] differs".into()], ..Judged::default() };
        for (told, judged, expected) in [
            (None, &right, "ok"),
            (None, &wrong, "wrong"),
            (Some(true), &right, "ok"),
            (Some(true), &wrong, "fault"),
            (Some(false), &right, "fault"),
            (Some(false), &wrong, "wrong"),
        ] {
            let found = match settled(told, judged) {
                Ok(()) => "ok",
                Err(SlotEnd::Wrong(report)) => {
                    assert_eq!(report, "y[3] differs");
                    "wrong"
                }
                Err(SlotEnd::Fault(fault)) => {
                    assert!(fault.to_string().contains("device and host comparisons differ"));
                    "fault"
                }
            };
            assert_eq!(found, expected, "{told:?}");
        }
    }
}
