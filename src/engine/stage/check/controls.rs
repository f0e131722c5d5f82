//! Answers that need no computing, held against the reference: a problem that takes them would take
//! a kernel that does nothing.

use super::super::judge::{Drawn, Judge, outputs};
use super::super::{Failure, FailureClass};
use super::values::{element, values};
use crate::engine::account::ControlRecord;
use crate::problem::{Drawing, Problem, Role, StagedArg};
use crate::verify::{self, Dtype, Tolerance};
use rayon::prelude::*;

/// Bytes that are looked at in one go: whole elements of every type.
const PART: usize = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Control {
    Zero,
    Mean,
    First,
    Identity,
    Stale,
}

/// In this order: the first that passes everywhere is the one that is told.
const ALL: [Control; 5] =
    [Control::Zero, Control::Stale, Control::Identity, Control::Mean, Control::First];

impl Control {
    fn name(self) -> &'static str {
        match self {
            Self::Zero => "zero",
            Self::Mean => "constant mean",
            Self::First => "constant first element",
            Self::Identity => "identity",
            Self::Stale => "stale",
        }
    }

    /// What a kernel like this does.
    fn deed(self) -> &'static str {
        match self {
            Self::Zero => "writes nothing but zeros",
            Self::Mean => "writes one constant, the mean of an earlier answer",
            Self::First => "writes one constant, the first element of an earlier answer",
            Self::Identity => "copies an input to the output",
            Self::Stale => "gives the answer to earlier inputs again",
        }
    }
}

/// Holds every control against what was drawn of the problem's own cases: notes about those that
/// pass somewhere, and a failure when one passes everywhere.
pub(super) fn run(judge: &mut Judge<'_>) -> Result<(Vec<ControlRecord>, Option<Failure>), Failure> {
    let mut cases = Vec::new();
    for case in 0..judge.cases.len() {
        if judge.is_secret(case) {
            continue;
        }
        // The first at last: it is the one that is launched next.
        for set in (0..judge.drawn(case).len()).rev() {
            judge.answer(case, set)?;
        }
        let (label, drawn) = (&judge.cases[case].label, judge.drawn(case));
        if drawn.iter().all(|drawn| drawn.want.iter().any(|want| !want.is_empty())) {
            cases.push(Findings::of(judge.problem, label, drawn));
        }
    }
    Ok(examine(judge.problem, &cases))
}

/// What a case showed: no more of it need be kept.
struct Findings {
    label: String,
    passed: Vec<Control>,
    /// Where a control passes.
    more: Option<More>,
}

/// What lets controls pass, perhaps.
struct More {
    /// The outputs' names, in quotes.
    names: Vec<String>,
    holds: Vec<Excuse>,
}

/// What can be so of everything drawn of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Excuse {
    /// The answer is another buffer's content bit for bit.
    Copied,
    SameInputs,
    SameAnswers,
    BelowAtol,
}

impl Findings {
    fn of(problem: &Problem, label: &str, drawn: &[Drawn]) -> Self {
        let passes = |control: &Control| passes(problem, *control, drawn);
        let passed: Vec<Control> = ALL.into_iter().filter(passes).collect();
        let more = (!passed.is_empty()).then(|| More::of(problem, drawn));
        Self { label: label.to_owned(), passed, more }
    }
}

impl More {
    fn of(problem: &Problem, drawn: &[Drawn]) -> Self {
        let names = drawn.first().map_or(Vec::new(), |set| {
            outputs(&set.staged).map(|output| format!("`{}`", output.name)).collect()
        });
        let pairs = || drawn.iter().zip(drawn.iter().skip(1));
        let below = |value: f64| value.abs() <= problem.tolerance.atol;
        let is_below = |set: &Drawn| {
            let mut wanted = outputs(&set.staged).zip(&set.want);
            wanted.all(|(output, want)| values(want, output.dtype).all(below))
        };
        let holds = |excuse: &Excuse| match excuse {
            Excuse::Copied => drawn.iter().all(is_copied),
            Excuse::SameInputs => pairs().all(|(a, b)| same_inputs(a, b)),
            Excuse::SameAnswers => pairs().all(|(a, b)| a.want == b.want),
            Excuse::BelowAtol => drawn.iter().all(is_below),
        };
        let all = [Excuse::Copied, Excuse::SameInputs, Excuse::SameAnswers, Excuse::BelowAtol];
        Self { names, holds: all.into_iter().filter(holds).collect() }
    }
}

fn examine(problem: &Problem, cases: &[Findings]) -> (Vec<ControlRecord>, Option<Failure>) {
    let mut notes = Vec::new();
    let mut refusal = None;
    for control in ALL {
        let passed: Vec<&Findings> =
            cases.iter().filter(|case| case.passed.contains(&control)).collect();
        if passed.is_empty() {
            continue;
        }
        if passed.len() == cases.len() && !is_the_answer(control, cases) {
            refusal.get_or_insert_with(|| refuse(problem, control, cases));
        }
        let cases_passed = passed.iter().map(|case| case.label.clone()).collect();
        notes.push(ControlRecord { name: control.name().to_owned(), cases_passed });
    }
    (notes, refusal)
}

/// Whether the control would pass for the right answer on everything drawn of a case.
fn passes(problem: &Problem, control: Control, drawn: &[Drawn]) -> bool {
    // What is learnt from one set is tried on another.
    let pairs: Vec<(&Drawn, &Drawn)> = match control {
        Control::Zero | Control::Identity => drawn.iter().map(|d| (d, d)).collect(),
        _ => drawn.iter().zip(drawn.iter().skip(1)).collect(),
    };
    !pairs.is_empty()
        && pairs.iter().all(|(learnt, set)| passes_set(&problem.tolerance, control, learnt, set))
}

fn passes_set(tolerance: &Tolerance, control: Control, learnt: &Drawn, set: &Drawn) -> bool {
    outputs(&set.staged).enumerate().all(|(index, output)| {
        let (dtype, want) = (output.dtype, set.want[index].as_slice());
        let known = learnt.want[index].as_slice();
        let answer = Answer { want, dtype, tolerance };
        match control {
            Control::Zero => answer.is_constant(&vec![0; dtype.size_bytes()]),
            Control::Mean => answer.is_constant(&element(mean(known, dtype), dtype)),
            Control::First => answer.is_constant(&known[..dtype.size_bytes()]),
            Control::Stale => answer.is_near(known),
            Control::Identity => copies(set, dtype, want.len()).any(|input| {
                input.content(want.len(), |start| answer.begins(start), |got| answer.is_near(got))
            }),
        }
    })
}

/// What a control is held against.
struct Answer<'a> {
    want: &'a [u8],
    dtype: Dtype,
    tolerance: &'a Tolerance,
}

impl Answer<'_> {
    /// Part by part, up to the first that differs: hardly any control gets farther.
    fn is_near(&self, got: &[u8]) -> bool {
        let mut parts = got.chunks(PART).zip(self.want.chunks(PART));
        let near = |(got, want): (&[u8], &[u8])| {
            verify::compare(got, want, self.dtype, self.tolerance).passed()
        };
        !self.want.is_empty() && parts.all(near)
    }

    fn is_constant(&self, element: &[u8]) -> bool {
        let longest = self.want.len().min(PART);
        let constant = element.repeat(longest.div_ceil(element.len().max(1)));
        let near = |want: &[u8]| {
            let got = &constant[..want.len()];
            verify::compare(got, want, self.dtype, self.tolerance).passed()
        };
        !self.want.is_empty() && self.want.chunks(PART).all(near)
    }

    fn begins(&self, got: &[u8]) -> bool {
        let want = &self.want[..got.len()];
        verify::compare(got, want, self.dtype, self.tolerance).passed()
    }
}

fn mean(bytes: &[u8], dtype: Dtype) -> f64 {
    let count = (bytes.len() / dtype.size_bytes()).max(1);
    let sum = |part: &[u8]| values(part, dtype).sum::<f64>();
    // In order, so that it does not depend on the number of threads.
    let sums: Vec<f64> = bytes.par_chunks(PART).map(sum).collect();
    sums.iter().sum::<f64>() / count as f64
}

/// An input that a kernel could copy.
enum Copied<'a> {
    There(&'a [u8]),
    Later(&'a Drawing),
}

impl Copied<'_> {
    /// Whether its first `bytes` bytes are as asked for. One that is drawn later is only drawn whole
    /// where its beginning is right.
    fn content(
        &self,
        bytes: usize,
        begins: impl Fn(&[u8]) -> bool,
        is_right: impl Fn(&[u8]) -> bool,
    ) -> bool {
        match self {
            Self::There(data) => is_right(&data[..bytes]),
            Self::Later(drawing) => {
                let start = drawing.beginning(PART.min(bytes));
                let fails = start.is_some_and(|start| !begins(&start));
                !fails && {
                    let mut whole = vec![0; drawing.bytes()];
                    drawing.draw(&mut whole);
                    is_right(&whole[..bytes])
                }
            }
        }
    }
}

/// The inputs that a kernel could copy to an output of this type and length.
fn copies(set: &Drawn, wanted: Dtype, bytes: usize) -> impl Iterator<Item = Copied<'_>> {
    set.staged.args.iter().filter_map(move |arg| match arg {
        StagedArg::Buffer { dtype, role: Role::In | Role::Inout, data, .. }
            if *dtype == wanted && data.len() >= bytes =>
        {
            Some(Copied::There(data))
        }
        StagedArg::Later { dtype, drawing, .. } if *dtype == wanted && drawing.bytes() >= bytes => {
            Some(Copied::Later(drawing))
        }
        _ => None,
    })
}

/// Whether every output is an input's content bit for bit, of one that is only read.
fn is_copied(set: &Drawn) -> bool {
    let inputs = || {
        set.staged.args.iter().filter_map(|arg| match arg {
            StagedArg::Buffer { dtype, role: Role::In, data, .. } => {
                Some((*dtype, data.len(), Copied::There(data)))
            }
            StagedArg::Later { dtype, role: Role::In, drawing, .. } => {
                Some((*dtype, drawing.bytes(), Copied::Later(drawing)))
            }
            _ => None,
        })
    };
    outputs(&set.staged).zip(&set.want).all(|(output, want)| {
        inputs().filter(|(dtype, bytes, _)| *dtype == output.dtype && *bytes >= want.len()).any(
            |(_, _, input)| {
                let begins = |start: &[u8]| want.starts_with(start);
                input.content(want.len(), begins, |got| got == want.as_slice())
            },
        )
    })
}

fn same_inputs(a: &Drawn, b: &Drawn) -> bool {
    a.staged.args.iter().zip(&b.staged.args).all(|pair| match pair {
        (StagedArg::Later { drawing, .. }, StagedArg::Later { .. }) => !drawing.is_random(),
        (a, b) => a == b,
    })
}

/// A kernel that copies is right where copying is what is asked for: then the answer is another
/// buffer's content bit for bit, and not merely close.
fn is_the_answer(control: Control, cases: &[Findings]) -> bool {
    control == Control::Identity && all(cases, Excuse::Copied)
}

fn all(cases: &[Findings], excuse: Excuse) -> bool {
    cases.iter().all(|case| case.more.as_ref().is_some_and(|more| more.holds.contains(&excuse)))
}

fn refuse(problem: &Problem, control: Control, cases: &[Findings]) -> Failure {
    let Tolerance { rtol, atol, .. } = problem.tolerance;
    let names = cases.iter().find_map(|case| Some(case.more.as_ref()?.names.join(", ")));
    let (why, remedy) = reason(&problem.tolerance, control, cases);
    let message = format!(
        "problem `{}` cannot tell right from wrong: a kernel that {} would pass every case \
         (control: {}; {}; rtol {rtol:e}, atol {atol:e}): {why}; {remedy}",
        problem.name,
        control.deed(),
        control.name(),
        names.unwrap_or_default(),
    );
    Failure { class: FailureClass::Problem, message }
}

/// What lets the control pass, and what to do about it.
fn reason(
    tolerance: &Tolerance,
    control: Control,
    cases: &[Findings],
) -> (&'static str, &'static str) {
    const TIGHTEN: &str = "tighten `rtol` and `atol` under [tolerance] until this control fails";
    if all(cases, Excuse::SameInputs) {
        let remedy = "give at least one input a random fill, such as `normal` or `integers`";
        return ("inputs do not change from launch to launch: the fills are not random", remedy);
    }
    if all(cases, Excuse::SameAnswers) {
        let remedy = "choose fills, or an output, that make the answer depend on the inputs";
        return ("the reference gives one answer to all inputs", remedy);
    }
    if all(cases, Excuse::BelowAtol) {
        return ("every wanted value is below atol", TIGHTEN);
    }
    let why = match control {
        Control::Zero if tolerance.rtol >= 1.0 => "an rtol of 1 or more takes zero for anything",
        Control::Zero => "every wanted value is as close to zero as the tolerance allows",
        Control::Mean | Control::First => {
            "the wanted values differ from each other by less than the tolerance allows"
        }
        Control::Identity => "the output differs from an input by less than the tolerance allows",
        Control::Stale => "answers to different inputs differ by less than the tolerance allows",
    };
    (why, TIGHTEN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Staged;

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_ne_bytes()).collect()
    }

    fn drawn(x: &[f32], y: &[f32]) -> Drawn {
        let buffer = |name: &str, role, values: &[f32]| StagedArg::Buffer {
            name: name.into(),
            dtype: Dtype::F32,
            role,
            shape: vec![values.len()],
            data: bytes(values),
        };
        let args = vec![buffer("x", Role::In, x), buffer("y", Role::Out, y)];
        Drawn { staged: Staged { args }, want: vec![bytes(y)], seed: 0 }
    }

    fn problem(rtol: f64, atol: f64) -> Problem {
        Problem {
            name: "p".into(),
            entry: "p".into(),
            cases: Vec::new(),
            holdout: None,
            args: Vec::new(),
            reference: "/r.c".into(),
            tolerance: Tolerance { rtol, atol, equal_nan: false },
            growth: None,
            deterministic: false,
            flops: None,
            bytes: None,
            cuda: None,
        }
    }

    fn examined(
        problem: &Problem,
        sets: &[(&[f32], &[f32])],
    ) -> (Vec<ControlRecord>, Option<Failure>) {
        let drawn: Vec<Drawn> = sets.iter().map(|(x, y)| drawn(x, y)).collect();
        examine(problem, &[Findings::of(problem, "n=2", &drawn)])
    }

    #[test]
    fn what_lets_a_control_pass_is_told() {
        for (rtol, atol, sets, words) in [
            (
                0.0,
                0.1,
                [(&[1.0, 5.0][..], &[0.01, 0.05][..]), (&[3.0, 2.0], &[0.03, 0.02])],
                "control: zero; `y`; rtol 0e0, atol 1e-1): every wanted value is below atol",
            ),
            (1.0, 0.0, [(&[1.0], &[7.0]), (&[3.0], &[-9.0])], "an rtol of 1 or more"),
            (0.0, 0.0, [(&[1.0], &[7.0]), (&[1.0], &[7.0])], "the fills are not random"),
            (0.0, 0.0, [(&[1.0], &[7.0]), (&[2.0], &[7.0])], "one answer to all inputs"),
            (
                0.0,
                0.06,
                [(&[1.0, 5.0], &[7.0, 7.1]), (&[3.0, 2.0], &[7.1, 7.0])],
                "constant mean; `y`; rtol 0e0, atol 6e-2): the wanted values differ from each other",
            ),
            (
                0.0,
                0.1,
                [(&[1.0, 5.0], &[1.01, 5.0]), (&[3.0, 2.0], &[3.0, 2.01])],
                "the output differs from an input by less",
            ),
            (
                0.0,
                0.1,
                [(&[1.0, 5.0], &[8.0, 9.0]), (&[3.0, 2.0], &[8.05, 9.01])],
                "answers to different inputs differ by less",
            ),
        ] {
            let (_, refusal) = examined(&problem(rtol, atol), &sets);
            let message = refusal.expect(words).message;
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn a_problem_that_asks_for_a_copy_is_none_to_refuse() {
        let sets = [(&[1.0, 5.0][..], &[1.0, 5.0][..]), (&[3.0, 2.0], &[3.0, 2.0])];
        let (notes, refusal) = examined(&problem(0.0, 1e-6), &sets);
        assert_eq!(refusal, None);
        assert_eq!(notes[0].name, "identity");
    }

    #[test]
    fn what_passes_at_some_cases_only_is_a_note() {
        let small = [drawn(&[1.0], &[0.01]), drawn(&[2.0], &[0.02])];
        let large = [drawn(&[1.0], &[10.0]), drawn(&[2.0], &[20.0])];
        let problem = problem(0.0, 0.1);
        let cases = [("small", &small), ("large", &large)];
        let cases = cases.map(|(label, drawn)| Findings::of(&problem, label, drawn));
        let (notes, refusal) = examine(&problem, &cases);
        assert_eq!(refusal, None);
        assert!(notes.iter().all(|note| note.cases_passed == ["small"]), "{notes:?}");
        assert!(notes.iter().any(|note| note.name == "zero"));
    }

    #[test]
    fn a_sound_problem_has_no_notes() {
        let sets = [(&[1.0, 5.0][..], &[2.0, 10.0][..]), (&[3.0, 2.0], &[6.0, 4.0])];
        assert_eq!(examined(&problem(1e-5, 1e-6), &sets), (Vec::new(), None));
    }
}
