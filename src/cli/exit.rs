//! Exit codes: the one table from what happened to a number.

use crate::engine::stage::FailureClass;
use crate::engine::{EngineError, Outcome, RunFinished};

/// How the program ends. Printed by `optloop --help`, tested, and never reused for anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Everything asked for holds.
    Ok = 0,
    /// A file or setting is wrong, or a command stage failed.
    User = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The candidate failed: wrong, crashed, timed out, cheating, too slow; or REVERT.
    Candidate = 3,
    /// There is no such device here.
    NoDevice = 4,
    /// UNDECIDED.
    Undecided = 5,
    /// A defect of optloop.
    Internal = 70,
    /// Not the candidate's doing: disk, memory, a device in use.
    Infrastructure = 75,
    /// Ctrl-C.
    Interrupted = 130,
}

/// The table that `--help` prints.
pub const TABLE: &str = "\
Exit codes:
  0    everything asked for holds
  1    a file or setting is wrong, or a command stage failed
  2    the command line is wrong
  3    the candidate failed (wrong, crashed, timed out, cheating, too slow) or the verdict is REVERT
  4    there is no such device here
  5    UNDECIDED
  70   a defect of optloop
  75   infrastructure: disk, memory, a device or state in use; try again
  130  interrupted";

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The code of a failed stage of a kind.
pub(super) fn of_failure(kind: &str, class: FailureClass) -> Exit {
    match class {
        FailureClass::Infrastructure | FailureClass::TooNoisy => Exit::Infrastructure,
        FailureClass::Interrupted => Exit::Interrupted,
        FailureClass::NoDevice => Exit::NoDevice,
        FailureClass::Wrong
        | FailureClass::Cheating
        | FailureClass::TooSlow
        | FailureClass::NotBetter
        | FailureClass::Implausible => Exit::Candidate,
        FailureClass::Inconclusive => Exit::Undecided,
        _ if kind == "command" || kind == "best" => Exit::User,
        // A kernel that does not compile is as unusable as one that crashes.
        FailureClass::Failed | FailureClass::Crashed | FailureClass::TimedOut => Exit::Candidate,
    }
}

/// The code of a whole run: the gravest of its stages'.
pub(super) fn of_run(finished: &RunFinished, outcomes: &[(String, Outcome)]) -> Exit {
    if finished.interrupted {
        return Exit::Interrupted;
    }
    let codes = outcomes.iter().filter_map(|(kind, outcome)| match outcome {
        Outcome::Failed { failure } => Some(of_failure(kind, failure.class)),
        _ => None,
    });
    codes.max().unwrap_or(Exit::Ok)
}

/// The code of what keeps a run from going on.
pub(super) fn of_error(error: &EngineError) -> Exit {
    match error {
        EngineError::Unreadable { .. } => Exit::User,
        EngineError::Cache(_)
        | EngineError::State { .. }
        | EngineError::Definitions(_)
        | EngineError::DeviceBusy { .. } => Exit::Infrastructure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::stage::Failure;

    #[test]
    fn the_gravest_failure_decides() {
        let failed = |kind: &str, class| {
            let failure = Failure { class, message: String::new() };
            (kind.to_owned(), Outcome::Failed { failure })
        };
        let code = |outcomes: &[_]| of_run(&RunFinished::default(), outcomes);
        assert_eq!(code(&[]), Exit::Ok);
        assert_eq!(code(&[failed("command", FailureClass::Failed)]), Exit::User);
        assert_eq!(code(&[failed("compile", FailureClass::Failed)]), Exit::Candidate);
        assert_eq!(code(&[failed("check", FailureClass::Crashed)]), Exit::Candidate);
        let both =
            [failed("check", FailureClass::Wrong), failed("bench", FailureClass::Infrastructure)];
        assert_eq!(code(&both), Exit::Infrastructure);
    }

    #[test]
    fn the_table_names_every_code() {
        for exit in [
            Exit::Ok,
            Exit::User,
            Exit::Usage,
            Exit::Candidate,
            Exit::NoDevice,
            Exit::Undecided,
            Exit::Internal,
            Exit::Infrastructure,
            Exit::Interrupted,
        ] {
            assert!(
                TABLE
                    .lines()
                    .any(|l| l.split_whitespace().next() == Some(&(exit as u8).to_string()))
            );
        }
    }
}
