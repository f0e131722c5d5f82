//! What the reference answers, and whether that can be held against anything.

use std::time::Duration;

use rayon::prelude::*;

use super::super::{Failure, FailureClass};
use super::drawn::arguments;
use super::judged::outputs;
use crate::backend::cpu::{CpuSession, Remains};
use crate::backend::{Fault, Mode, Order, Session};
use crate::problem::{ArgKind, Problem, Role, Staged};
use crate::verify::Dtype;

/// The answers to some sets.
pub(super) struct Answer {
    pub(super) want: Vec<Vec<Vec<u8>>>,
    /// How long a launch took.
    pub(super) each: Duration,
}

/// What a kernel gives for each of these sets.
pub(super) fn answer(session: &mut CpuSession, staged: &[Staged]) -> Result<Answer, Fault> {
    session.load(&staged.iter().map(arguments).collect::<Vec<_>>())?;
    let count = staged.len() as u32;
    let launched = session.launch(Order { first: 0, count, mode: Mode::Hot })?;
    let each = Duration::from_nanos(launched.reported_ns / u64::from(count.max(1)));
    let want = (0..count).map(|set| session.outputs(set)).collect::<Result<_, _>>()?;
    Ok(Answer { want, each })
}

/// What the reference is asked, for words.
pub(super) struct Question<'a> {
    pub(super) problem: &'a Problem,
    pub(super) label: &'a str,
    pub(super) is_secret: bool,
}

/// What the reference does to some of an output's elements, and what to do about it.
struct Flaw<'a> {
    output: &'a str,
    deed: &'a str,
    some: u64,
    all: u64,
    remedy: &'a str,
}

impl Question<'_> {
    /// The outputs' names and types.
    fn outputs(&self) -> impl Iterator<Item = (&str, Dtype)> {
        self.problem.args.iter().filter_map(|arg| match arg.kind {
            ArgKind::Buffer { role: Role::Out | Role::Inout, .. } => {
                Some((arg.name.as_str(), arg.dtype))
            }
            _ => None,
        })
    }

    /// A failure of the problem's: what the reference does to some of an output's elements, and what to
    /// do about it. Of a case that is held out no number is told.
    fn failure(&self, flaw: &Flaw<'_>) -> Failure {
        let Flaw { output, deed, some, all, remedy } = flaw;
        let (problem, label) = (&self.problem.name, self.label);
        let message = if self.is_secret {
            format!(
                "the reference of problem `{problem}` {deed} elements of `{output}` at {label} (sizes \
                 are withheld): {remedy}"
            )
        } else {
            format!(
                "the reference of problem `{problem}` {deed} {some} of {all} elements of `{output}` at \
                 case {label}: {remedy}"
            )
        };
        Failure { class: FailureClass::Problem, message }
    }
}

/// Refuses NaN, which nothing equals, unless the problem lets it equal itself.
pub(super) fn without_nan(question: &Question<'_>, want: &[Vec<Vec<u8>>]) -> Result<(), Failure> {
    if question.problem.tolerance.equal_nan {
        return Ok(());
    }
    for set in want {
        for ((name, dtype), bytes) in question.outputs().zip(set) {
            let count = nans(bytes, dtype);
            if count > 0 {
                let remedy = "no kernel can pass; mend the problem's inputs or its reference, or write \
                              `equal_nan = true` under [tolerance] where NaN is the right answer";
                let all = (bytes.len() / dtype.size_bytes()) as u64;
                let deed = "gives NaN in";
                return Err(question.failure(&Flaw {
                    output: name,
                    deed,
                    some: count,
                    all,
                    remedy,
                }));
            }
        }
    }
    Ok(())
}

/// How many elements are NaN: all bits of the exponent are set, and one of the fraction's.
fn nans(bytes: &[u8], dtype: Dtype) -> u64 {
    let count16 = |infinity: u16| {
        let nan = |b: &&[u8; 2]| u16::from_ne_bytes(**b) & 0x7fff > infinity;
        bytes.as_chunks::<2>().0.par_iter().with_min_len(1 << 16).filter(nan).count()
    };
    let count = match dtype {
        Dtype::F64 => {
            let nan = |b: &&[u8; 8]| f64::from_ne_bytes(**b).is_nan();
            bytes.as_chunks::<8>().0.par_iter().with_min_len(1 << 16).filter(nan).count()
        }
        Dtype::F32 => {
            let nan = |b: &&[u8; 4]| f32::from_ne_bytes(**b).is_nan();
            bytes.as_chunks::<4>().0.par_iter().with_min_len(1 << 16).filter(nan).count()
        }
        Dtype::F16 => count16(0x7c00),
        Dtype::Bf16 => count16(0x7f80),
        _ => 0,
    };
    count as u64
}

/// A set that the reference has answered.
pub(super) struct Answered<'a> {
    pub(super) staged: &'a Staged,
    pub(super) want: &'a [Vec<u8>],
    /// Its number among those that are loaded.
    pub(super) slot: u32,
}

/// Has a session load the same set once more.
pub(super) type Again<'a> = &'a mut dyn FnMut(&mut CpuSession) -> Result<(), Fault>;

/// Per output, how many elements of a set the reference leaves as they were, of how many. It is asked
/// once more, on other random bytes, where one seems to be: that may be chance.
pub(super) fn left_out(
    session: &mut CpuSession,
    answered: &Answered<'_>,
    again: Again<'_>,
) -> Result<Vec<(u64, u64)>, Fault> {
    let Answered { staged, want, slot } = *answered;
    let sizes: Vec<usize> = outputs(staged).map(|output| output.dtype.size_bytes()).collect();
    let Some(remains) = session.remains(slot) else {
        return Ok(Vec::new());
    };
    let count = |again: Option<(&Remains, &[Vec<u8>])>| -> Vec<(u64, u64)> {
        let of = |(index, &size): (usize, &usize)| {
            (remains.unwritten(index, size, want, again), (want[index].len() / size) as u64)
        };
        sizes.iter().enumerate().map(of).collect()
    };
    let seems = count(None);
    if seems.iter().all(|(some, _)| *some == 0) {
        return Ok(seems);
    }
    again(session)?;
    session.launch(Order { first: slot, count: 1, mode: Mode::Hot })?;
    let left = session.outputs(slot)?;
    Ok(session.remains(slot).map_or(seems, |remains| count(Some((&remains, &left)))))
}

/// Refuses outputs that are written in part: what the rest must hold, nobody can say.
pub(super) fn whole(question: &Question<'_>, left: &[(u64, u64)]) -> Result<(), Failure> {
    for ((name, _), &(some, all)) in question.outputs().zip(left) {
        if some > 0 {
            let remedy = format!(
                "what a kernel must leave there nobody can say; write `role = \"inout\"` for `{name}`, \
                 so that it starts from known values, or have the reference write all of it"
            );
            let (deed, remedy) = ("leaves unwritten", remedy.as_str());
            return Err(question.failure(&Flaw { output: name, deed, some, all, remedy }));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::{bf16, f16};

    #[test]
    fn nan_is_counted_in_every_type_and_infinity_is_none() {
        let f32s = [1.0, f32::NAN, f32::INFINITY, -f32::NAN, f32::NEG_INFINITY];
        let bytes = |one: &dyn Fn(f32) -> Vec<u8>| f32s.iter().flat_map(|&v| one(v)).collect();
        let all: [(Dtype, Vec<u8>); 4] = [
            (Dtype::F64, bytes(&|v| f64::from(v).to_ne_bytes().into())),
            (Dtype::F32, bytes(&|v| v.to_ne_bytes().into())),
            (Dtype::F16, bytes(&|v| f16::from_f32(v).to_ne_bytes().into())),
            (Dtype::Bf16, bytes(&|v| bf16::from_f32(v).to_ne_bytes().into())),
        ];
        for (dtype, bytes) in all {
            assert_eq!(nans(&bytes, dtype), 2, "{dtype}");
        }
        assert_eq!(nans(&[0xff; 16], Dtype::I64), 0);
    }
}
