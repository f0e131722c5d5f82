//! Answers that need no computing, held against the reference: a problem that takes them would take
//! a kernel that does nothing.

use serde::Serialize;

use super::super::judge::{Drawn, Judge, outputs};
use super::super::{Failure, FailureClass};
use super::values::{element, values};
use crate::problem::{Problem, Role, StagedArg};
use crate::verify::{self, Dtype, Tolerance};

/// What one control showed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Note {
    /// Its name.
    name: &'static str,
    /// Labels of the cases at which it would pass for the right answer.
    cases_passed: Vec<String>,
}

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
pub(super) fn run(judge: &Judge<'_>) -> (Vec<Note>, Option<Failure>) {
    let cases: Vec<Case<'_>> = (0..judge.cases.len())
        .filter(|&case| !judge.is_secret(case))
        .map(|case| Case { label: &judge.cases[case].label, drawn: judge.drawn(case) })
        .filter(Case::counts)
        .collect();
    examine(judge.problem, &cases)
}

/// A case with what was drawn of it.
struct Case<'a> {
    label: &'a str,
    drawn: &'a [Drawn],
}

impl Case<'_> {
    fn counts(&self) -> bool {
        self.drawn.iter().all(|drawn| drawn.want.iter().any(|want| !want.is_empty()))
    }
}

fn examine(problem: &Problem, cases: &[Case<'_>]) -> (Vec<Note>, Option<Failure>) {
    let mut notes = Vec::new();
    let mut refusal = None;
    for control in ALL {
        let passed: Vec<&Case<'_>> =
            cases.iter().filter(|case| passes(problem, control, case.drawn)).collect();
        if passed.is_empty() {
            continue;
        }
        if passed.len() == cases.len() && !is_the_answer(control, cases) {
            refusal.get_or_insert_with(|| refuse(problem, control, cases));
        }
        let cases_passed = passed.iter().map(|case| case.label.to_owned()).collect();
        notes.push(Note { name: control.name(), cases_passed });
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
        let near = |got: &[u8]| verify::compare(got, want, dtype, tolerance).passed();
        match control {
            Control::Zero => near(&vec![0; want.len()]),
            Control::Mean => near(&repeated(&element(mean(known, dtype), dtype), want.len())),
            Control::First => near(&repeated(&known[..dtype.size_bytes()], want.len())),
            Control::Stale => near(known),
            Control::Identity => copies(set, dtype, want.len()).any(|(_, got)| near(got)),
        }
    })
}

fn repeated(element: &[u8], bytes: usize) -> Vec<u8> {
    element.iter().copied().cycle().take(bytes).collect()
}

fn mean(bytes: &[u8], dtype: Dtype) -> f64 {
    let count = (bytes.len() / dtype.size_bytes()).max(1);
    values(bytes, dtype).sum::<f64>() / count as f64
}

/// What a kernel that copies an input leaves in an output of this type and length.
fn copies(set: &Drawn, wanted: Dtype, bytes: usize) -> impl Iterator<Item = (&StagedArg, &[u8])> {
    set.staged.args.iter().filter_map(move |arg| match arg {
        StagedArg::Buffer { dtype, role: Role::In | Role::Inout, data, .. }
            if *dtype == wanted && data.len() >= bytes =>
        {
            Some((arg, &data[..bytes]))
        }
        _ => None,
    })
}

/// A kernel that copies is right where copying is what is asked for: then the answer is another
/// buffer's content bit for bit, and not merely close.
fn is_the_answer(control: Control, cases: &[Case<'_>]) -> bool {
    let copied = |set: &Drawn| {
        outputs(&set.staged).enumerate().all(|(index, output)| {
            let want = &set.want[index];
            copies(set, output.dtype, want.len()).any(|(arg, got)| {
                let inside = matches!(arg, StagedArg::Buffer { role: Role::In, .. });
                inside && got == want.as_slice()
            })
        })
    };
    control == Control::Identity && cases.iter().all(|case| case.drawn.iter().all(copied))
}

fn refuse(problem: &Problem, control: Control, cases: &[Case<'_>]) -> Failure {
    let Tolerance { rtol, atol } = problem.tolerance;
    let sets = || cases.iter().flat_map(|case| case.drawn);
    let names: Vec<String> = sets().next().map_or(Vec::new(), |set| {
        outputs(&set.staged).map(|output| format!("`{}`", output.name)).collect()
    });
    let (why, remedy) = reason(&problem.tolerance, control, cases);
    let message = format!(
        "problem `{}` cannot tell right from wrong: a kernel that {} would pass every case \
         (control: {}; {}; rtol {rtol:e}, atol {atol:e}): {why}; {remedy}",
        problem.name,
        control.deed(),
        control.name(),
        names.join(", "),
    );
    Failure { class: FailureClass::Failed, message }
}

/// What lets the control pass, and what to do about it.
fn reason(
    tolerance: &Tolerance,
    control: Control,
    cases: &[Case<'_>],
) -> (&'static str, &'static str) {
    const TIGHTEN: &str = "tighten `rtol` and `atol` under [tolerance] until this control fails";
    let wanted = || {
        let sets = cases.iter().flat_map(|case| case.drawn);
        sets.flat_map(|set| {
            outputs(&set.staged)
                .zip(&set.want)
                .flat_map(|(output, want)| values(want, output.dtype))
        })
    };
    let pairs = || cases.iter().flat_map(|case| case.drawn.iter().zip(case.drawn.iter().skip(1)));
    if pairs().all(|(a, b)| a.staged == b.staged) {
        let remedy = "give at least one input a random fill, such as `normal` or `integers`";
        return ("inputs do not change from launch to launch: the fills are not random", remedy);
    }
    if pairs().all(|(a, b)| a.want == b.want) {
        let remedy = "choose fills, or an output, that make the answer depend on the inputs";
        return ("the reference gives one answer to all inputs", remedy);
    }
    if wanted().all(|value| value.abs() <= tolerance.atol) {
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
        Drawn { staged: Staged { args }, want: vec![bytes(y)] }
    }

    fn problem(rtol: f64, atol: f64) -> Problem {
        Problem {
            name: "p".into(),
            entry: "p".into(),
            cases: Vec::new(),
            holdout: None,
            args: Vec::new(),
            reference: "/r.c".into(),
            tolerance: Tolerance { rtol, atol },
            growth: None,
            deterministic: false,
            flops: None,
            bytes: None,
            cuda: None,
        }
    }

    fn examined(problem: &Problem, sets: &[(&[f32], &[f32])]) -> (Vec<Note>, Option<Failure>) {
        let drawn: Vec<Drawn> = sets.iter().map(|(x, y)| drawn(x, y)).collect();
        examine(problem, &[Case { label: "n=2", drawn: &drawn }])
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
        let cases =
            [Case { label: "small", drawn: &small }, Case { label: "large", drawn: &large }];
        let (notes, refusal) = examine(&problem(0.0, 0.1), &cases);
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
