//! What a fault in a worker means for a stage.

use super::super::{Failure, FailureClass};
use crate::backend::{Fault, Trouble};
use crate::problem::Problem;

/// A fault of the candidate's as the stage's failure; `place` is the case.
pub(in crate::engine::stage) fn kernel_failure(place: &str, fault: &Fault) -> Failure {
    let message = match fault {
        Fault::Interrupted => fault.to_string(),
        Fault::Infrastructure { what } => format!("case {place}: {what}"),
        Fault::Setup { what } => what.clone(),
        Fault::Device { trouble, .. } if !blames_kernel(*trouble) => {
            format!("case {place}: {fault}")
        }
        Fault::Unloadable { .. } => format!("the kernel {fault}"),
        _ => format!("case {place}: the kernel {fault}"),
    };
    Failure { class: class(fault), message }
}

/// Keeps a failure that is not the kernel's; the protocol ends with the fault.
pub(in crate::engine::stage) fn kept(place: &mut Option<Failure>, failure: Failure) -> Fault {
    let what = failure.message.clone();
    *place = Some(failure);
    Fault::Infrastructure { what }
}

fn class(fault: &Fault) -> FailureClass {
    match fault {
        Fault::Device { trouble: Trouble::Crashed, .. }
        | Fault::Crashed { .. }
        | Fault::Exited { .. }
        | Fault::Sanitizer { .. } => FailureClass::Crashed,
        Fault::Device { trouble: Trouble::Refused, .. } | Fault::Unloadable { .. } => {
            FailureClass::Failed
        }
        Fault::Stray { .. } => FailureClass::Wrong,
        Fault::TimedOut | Fault::Overlong { .. } => FailureClass::TimedOut,
        Fault::Cheating { .. } => FailureClass::Cheating,
        Fault::Device { .. } | Fault::Infrastructure { .. } => FailureClass::Infrastructure,
        Fault::Setup { .. } => FailureClass::Setup,
        Fault::Interrupted => FailureClass::Interrupted,
    }
}

/// Whether a device's trouble is the kernel's doing.
fn blames_kernel(trouble: Trouble) -> bool {
    matches!(trouble, Trouble::Crashed | Trouble::Refused)
}

/// The reference is the problem author's: what it does wrong is a mistake in the problem's files, and
/// never the candidate's crash.
pub(super) fn reference_failure(problem: &Problem, fault: &Fault) -> Failure {
    // The time limit is the whole stage's: it may be the candidate that used it up.
    let class = match class(fault) {
        class @ (FailureClass::Infrastructure
        | FailureClass::Interrupted
        | FailureClass::TimedOut) => class,
        _ => FailureClass::Problem,
    };
    let name = &problem.name;
    let message = match fault {
        Fault::Interrupted | Fault::Infrastructure { .. } | Fault::Setup { .. } => {
            fault.to_string()
        }
        Fault::TimedOut => format!(
            "the stage's time was up while the reference of problem `{name}` answered; raise \
             `timeout` unless one of the two kernels hangs"
        ),
        _ => format!("the reference of problem `{name}` {fault}; mend it before judging kernels"),
    };
    Failure { class, message }
}

/// A fault at sizes that nobody may learn: without codes, places and amounts, which a kernel could
/// make of them.
pub(super) fn withheld_failure(label: &str, fault: &Fault) -> Failure {
    let what = match fault {
        Fault::Interrupted
        | Fault::Infrastructure { .. }
        | Fault::Setup { .. }
        | Fault::Unloadable { .. } => {
            return kernel_failure(label, fault);
        }
        Fault::Device { trouble, .. } if !blames_kernel(*trouble) => {
            return kernel_failure(label, fault);
        }
        Fault::Device { trouble, .. } => trouble.words(),
        Fault::Crashed { .. } => "crashed",
        Fault::Exited { .. } => "ended its process instead of returning",
        Fault::Sanitizer { .. } => "was stopped by a sanitizer",
        Fault::Stray { .. } => "wrote where it must not",
        Fault::TimedOut | Fault::Overlong { .. } => "was not back before the deadline",
        Fault::Cheating { .. } => "tampered with the measurement",
    };
    Failure {
        class: class(fault),
        message: format!("{label} (sizes are withheld): the kernel {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_its_class() {
        let what = || "x".to_owned();
        let device = |trouble| Fault::Device { trouble, what: what() };
        for (fault, expected) in [
            (Fault::Crashed { signal: 11, place: what() }, FailureClass::Crashed),
            (Fault::Sanitizer { what: what() }, FailureClass::Crashed),
            (Fault::Stray { what: what() }, FailureClass::Wrong),
            (Fault::Exited { code: 0 }, FailureClass::Crashed),
            (Fault::TimedOut, FailureClass::TimedOut),
            (Fault::Unloadable { what: what() }, FailureClass::Failed),
            (Fault::Cheating { what: what() }, FailureClass::Cheating),
            (Fault::Infrastructure { what: what() }, FailureClass::Infrastructure),
            (Fault::Setup { what: what() }, FailureClass::Setup),
            (device(Trouble::Crashed), FailureClass::Crashed),
            (device(Trouble::Refused), FailureClass::Failed),
            (device(Trouble::OutOfMemory), FailureClass::Infrastructure),
            (device(Trouble::Memory), FailureClass::Infrastructure),
            (device(Trouble::Lost), FailureClass::Infrastructure),
            (device(Trouble::Throttled), FailureClass::Infrastructure),
            (Fault::Interrupted, FailureClass::Interrupted),
        ] {
            assert_eq!(kernel_failure("n=1", &fault).class, expected, "{fault:?}");
        }
    }

    #[test]
    fn a_withheld_fault_tells_no_number() {
        for fault in [
            Fault::Crashed { signal: 11, place: "96 bytes past `y`".into() },
            Fault::Exited { code: 77 },
            Fault::Stray { what: "77 bytes past `y`".into() },
            Fault::Cheating { what: "77 ns".into() },
        ] {
            let failure = withheld_failure("hold-out 2", &fault);
            assert_eq!(failure.class, class(&fault));
            assert!(failure.message.starts_with("hold-out 2 (sizes are withheld): the kernel "));
            let rest = &failure.message["hold-out 2".len()..];
            assert!(!rest.contains(char::is_numeric), "{rest}");
        }
    }
}
