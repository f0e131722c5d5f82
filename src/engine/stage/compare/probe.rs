//! Whether a command's number depends on the kernel at all: before the first comparison it is run
//! with empty files in the kernel's place.

use std::fs;

use super::super::command::{CommandRequest, Ran};
use super::super::reading::has_many_steps;
use super::super::{Failure, FailureClass};
use super::sides::{Kernel, Sides};
use crate::cache::Kind;
use crate::digest::Digest;
use crate::measure::pairs::Side;
use crate::pipeline::{CommandMetric, CommandWork};
use crate::plan::key::Walk;
use crate::plan::{Definition, StoredNode};

/// Runs of each side when single ones leave it open: by chance all of one lie beyond all of the
/// other in 3 of 100 cases.
const RUNS: usize = 4;

/// A command about to be compared.
pub(super) struct Probe<'a> {
    pub(super) request: &'a CommandRequest<'a>,
    pub(super) metric: &'a CommandMetric,
}

impl Probe<'_> {
    /// Shows that the number is the kernel's, unless that was shown of this command before.
    ///
    /// # Errors
    /// The failure of the candidate, or that the number does not depend on the kernel.
    pub(super) fn show(&self, sides: &mut Sides<'_>) -> Result<(), Failed> {
        let note = sides.note(&format!("probe-{}", self.command().short()));
        if note.exists() {
            return Ok(());
        }
        (self.request.ctx.progress)(0.0, "a run with empty files in the kernel's place");
        self.depends(sides)?;
        // Without the note the next comparison shows it once more.
        drop(fs::write(note, ""));
        Ok(())
    }

    /// What was shown holds for: the command and what it reads beside the kernel.
    fn command(&self) -> Digest {
        let CommandRequest { job, work, .. } = *self.request;
        let alone = CommandWork { opponent: None, ..work.clone() };
        let node = StoredNode { definition: Definition::Command(alone), ..job.stored.clone() };
        let mut walk = Walk::declared(&node, &[]);
        let kernel = work.kernel.iter().map(|file| &file.file);
        let theirs = work.opponent.iter().flat_map(|opponent| &opponent.kernel);
        let either: Vec<&String> = kernel.chain(theirs).collect();
        for input in &job.inputs {
            if input.kind == Kind::File && !either.contains(&&input.name) {
                walk.entry(input.kind, &input.name, &input.digest);
            }
        }
        walk.digest()
    }

    fn depends(&self, sides: &mut Sides<'_>) -> Result<(), Failed> {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        with.push(self.candidate(sides)?);
        sides.put(Side::Incumbent, Kernel::Empty)?;
        loop {
            match emptied(sides)? {
                Some(value) => without.push(value),
                None => return Ok(()),
            }
            match seen(self.metric.deterministic, &with, &without) {
                Seen::Depends => return Ok(()),
                Seen::DoesNot => return Err(self.refusal(&with, &without).into()),
                Seen::Open => with.push(self.candidate(sides)?),
            }
        }
    }

    fn candidate(&self, sides: &mut Sides<'_>) -> Result<f64, Failed> {
        let ran = sides.run(Side::Candidate)?;
        match (ran.reading, &ran.outcome.failure) {
            (Some(reading), None) => Ok(reading.value),
            (_, failure) => {
                let failure = failure.clone().unwrap_or_else(|| unread(self.metric));
                Err(Failed { failure, ran: Some(Box::new(ran)) })
            }
        }
    }

    fn refusal(&self, with: &[f64], without: &[f64]) -> Failure {
        let list =
            |values: &[f64]| values.iter().map(|v| format!("{v}")).collect::<Vec<_>>().join(", ");
        let kernel: Vec<&str> = self
            .request
            .work
            .kernel
            .iter()
            .filter_map(|f| Some(f.places.first()?.as_str()))
            .collect();
        let (kernel, name) = (kernel.join(", "), &self.metric.name);
        let message = format!(
            "its number does not depend on the kernel, so there is nothing to compare: `{name}` is \
             {} with {kernel} and {} with an empty file in its place\n\
             The command reads something else: an installed copy of the project, an absolute path, a \
             file that an earlier stage built, results that it keeps. Name the file that it really \
             reads as `kernel`, or hand it ${{kernel}} in `run`, `env` or [vars], and build what is \
             measured in this stage's own `run`",
            list(with),
            list(without)
        );
        Failure { class: FailureClass::Failed, message }
    }
}

/// The number with empty files in the kernel's place; none where the command fails then, as it
/// should.
fn emptied(sides: &mut Sides<'_>) -> Result<Option<f64>, Failed> {
    let ran = sides.run(Side::Incumbent)?;
    match (ran.reading, ran.outcome.failure) {
        (Some(reading), None) => Ok(Some(reading.value)),
        (_, Some(failure)) if is_not_its_own(&failure) => Err(failure.into()),
        _ => Ok(None),
    }
}

/// What follows from the numbers with and without the kernel.
fn seen(deterministic: Option<bool>, with: &[f64], without: &[f64]) -> Seen {
    let (first, other) = (with[0], without[0]);
    let repeats = match deterministic {
        Some(declared) => declared,
        None => has_many_steps(first) && has_many_steps(other),
    };
    #[expect(clippy::float_cmp, reason = "numbers that repeat are equal or they are not")]
    let same = first == other;
    if repeats && with.len() == 1 && (same || deterministic.is_some()) {
        return if same { Seen::DoesNot } else { Seen::Depends };
    }
    if with.len() < RUNS || without.len() < RUNS {
        return Seen::Open;
    }
    let range = |values: &[f64]| {
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        (low, values.iter().copied().fold(f64::NEG_INFINITY, f64::max))
    };
    let ((low, high), (empty_low, empty_high)) = (range(with), range(without));
    if high < empty_low || empty_high < low { Seen::Depends } else { Seen::DoesNot }
}

/// What the numbers with and without the kernel say.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Depends,
    DoesNot,
    Open,
}

/// Why nothing was shown.
pub(super) struct Failed {
    pub(super) failure: Failure,
    /// The candidate's run, where that is what failed.
    pub(super) ran: Option<Box<Ran>>,
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self { failure, ran: None }
    }
}

fn unread(metric: &CommandMetric) -> Failure {
    let message = format!("it printed no `{}`", metric.name);
    Failure { class: FailureClass::Failed, message }
}

/// A failure that says nothing of the command.
fn is_not_its_own(failure: &Failure) -> bool {
    matches!(failure.class, FailureClass::Infrastructure | FailureClass::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::Seen::{Depends, DoesNot, Open};
    use super::seen;

    #[test]
    fn a_number_that_an_empty_kernel_leaves_as_it_is_does_not_depend_on_it() {
        for (deterministic, with, without, wanted) in [
            // Counts that repeat: one run each is enough to see that nothing changes.
            (None, &[1200.0][..], &[1200.0][..], DoesNot),
            (Some(true), &[12.0], &[12.0], DoesNot),
            (Some(true), &[12.0], &[13.0], Depends),
            // Whole numbers that differ may be times, which always do.
            (None, &[1200.0], &[1300.0], Open),
            (None, &[17.1], &[17.1], Open),
            (Some(false), &[1200.0], &[1200.0], Open),
            (None, &[17.1, 17.3, 17.2, 17.4], &[17.2, 17.0, 17.3, 17.5], DoesNot),
            (None, &[17.1, 17.3, 17.2, 17.4], &[3.2, 3.0, 3.3, 3.5], Depends),
            (None, &[3.1, 3.3, 3.2, 3.4], &[17.2, 17.0, 17.3, 17.5], Depends),
            (None, &[12.0; 4], &[12.0; 4], DoesNot),
        ] {
            assert_eq!(seen(deterministic, with, without), wanted, "{with:?} {without:?}");
        }
    }
}
