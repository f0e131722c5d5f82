//! What is said of a kernel that is the incumbent's very code: there is nothing to compare.

use crate::engine::account::{BenchRecord, CommandRecord, IdenticalRecord, NumbersOf, StageRecord};
use crate::pipeline::COMPARED;
use crate::stats::Metrics;

/// A kernel beside itself.
#[derive(Clone, Copy)]
pub(in crate::engine) struct Identical<'a> {
    /// How people call the incumbent.
    pub(in crate::engine) against: &'a str,
    /// Whose numbers these are.
    pub(in crate::engine) numbers: NumbersOf,
}

/// Nothing is gained beside the same code.
pub(in crate::engine) fn nothing_gained(metrics: &mut Metrics) {
    metrics.extend(COMPARED.map(|name| (name, 0.0)));
}

impl Identical<'_> {
    /// Marks a result, which must not be taken for that of a comparison; false for a record that
    /// holds no number.
    pub(in crate::engine) fn mark(&self, record: &mut StageRecord) -> bool {
        match record {
            StageRecord::Bench(bench) => self.mark_bench(bench),
            StageRecord::Command(command) => self.mark_command(command),
            _ => return false,
        }
        true
    }

    /// Marks a measurement.
    pub(in crate::engine) fn mark_bench(&self, bench: &mut BenchRecord) {
        if self.numbers == NumbersOf::Incumbents {
            // What was said then was said of another pair, or of how long it took.
            (bench.comparison, bench.profile, bench.telemetry) = (None, None, None);
            bench.warnings.clear();
        }
        bench.identical = Some(self.record());
        bench.words = Some(self.words());
    }

    /// Marks a command's number.
    pub(in crate::engine) fn mark_command(&self, command: &mut CommandRecord) {
        if self.numbers == NumbersOf::Incumbents {
            command.comparison = None;
            command.warnings.clear();
        }
        command.identical = Some(self.record());
        command.words = Some(self.words());
    }

    fn record(&self) -> IdenticalRecord {
        IdenticalRecord { against: self.against.to_owned(), numbers: self.numbers }
    }

    fn words(&self) -> String {
        let against = self.against;
        match self.numbers {
            NumbersOf::Incumbents => format!(
                "identical code: nothing was measured, these are the numbers of {against}, which is \
                 the very same"
            ),
            NumbersOf::Measured => format!(
                "identical code: it was measured alone, for {against} is the very same and there is \
                 nothing to compare"
            ),
        }
    }
}
