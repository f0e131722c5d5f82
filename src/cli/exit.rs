//! Exit codes: the one table from what happened to a number.

use std::io;

use crate::campaign::event::End;
use crate::engine::stage::FailureClass;
use crate::engine::{EngineError, Outcome, StageFinished};
use crate::plan::StageKind;
use crate::process;
use crate::project::RunReport;
use crate::record::Decision;

/// How the program ends. Printed by `optloop --help`, tested, and never reused for anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Everything asked for holds.
    Ok = 0,
    /// A file, setting or problem is wrong, of the project or of the machine, or a command stage
    /// failed: trying again changes nothing.
    User = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The candidate failed: wrong, crashed, timed out, cheating, too slow; or REVERT.
    Candidate = 3,
    /// There is no such device here.
    NoDevice = 4,
    /// UNDECIDED.
    Undecided = 5,
    /// A campaign spent its budget.
    Budget = 10,
    /// A campaign had no gain for as long as it may.
    Plateau = 11,
    /// A campaign was stopped on request.
    Stopped = 12,
    /// A campaign had more failures than it may.
    Blocked = 13,
    /// A defect of optloop.
    Internal = 70,
    /// Not the candidate's doing, and it may go away: a full disk, memory, a device in use.
    Infrastructure = 75,
    /// Ctrl-C.
    Interrupted = 130,
    /// All is well, but nobody read the results to their end: what a shell says of a program that
    /// SIGPIPE ended.
    Unread = 141,
}

/// The table that `--help` prints.
pub const TABLE: &str = "\
Exit codes:
  0    everything asked for holds
  1    a file, setting or problem is wrong, or a command stage failed; trying again changes nothing
  2    the command line is wrong
  3    the candidate failed (wrong, crashed, timed out, cheating, too slow) or the verdict is REVERT
  4    there is no such device here
  5    UNDECIDED
  10   a campaign spent its budget; 11: it had no gain for as long as it may; 12: it was stopped on
       request; 13: failures of the agent or the machine used up what they may
  70   a defect of optloop
  75   infrastructure: a full disk, memory, a device or state in use; try again
  130  interrupted
  141  the reader of the results has gone (as `| head` does); nothing else is wrong";

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The code of a decision.
pub(super) fn of_decision(decision: Decision) -> Exit {
    match decision {
        Decision::Keep => Exit::Ok,
        Decision::Revert => Exit::Candidate,
        Decision::Undecided => Exit::Undecided,
    }
}

/// The code of a failed stage of a kind.
pub(super) fn of_failure(kind: StageKind, class: FailureClass) -> Exit {
    match class {
        FailureClass::Infrastructure | FailureClass::TooNoisy => Exit::Infrastructure,
        FailureClass::Interrupted => Exit::Interrupted,
        FailureClass::NoDevice => Exit::NoDevice,
        FailureClass::Problem | FailureClass::Setup | FailureClass::Incumbent => Exit::User,
        FailureClass::Defect => Exit::Internal,
        FailureClass::Wrong
        | FailureClass::Cheating
        | FailureClass::TooSlow
        | FailureClass::NotBetter
        | FailureClass::Implausible => Exit::Candidate,
        FailureClass::Inconclusive => Exit::Undecided,
        _ if matches!(kind, StageKind::Command | StageKind::Best) => Exit::User,
        // A kernel that does not compile is as unusable as one that crashes.
        FailureClass::Failed | FailureClass::Crashed | FailureClass::TimedOut => Exit::Candidate,
    }
}

fn of_stage(stage: &StageFinished) -> Exit {
    match (&stage.outcome, &stage.decision) {
        (_, Some(decided)) => of_decision(decided.decision),
        (Outcome::Failed { failure }, None) => of_failure(stage.kind, failure.class),
        _ => Exit::Ok,
    }
}

/// The code of a whole run: the gravest of its stages', and of what could not be recorded.
pub(super) fn of_run(report: &RunReport) -> Exit {
    if report.summary.interrupted {
        return Exit::Interrupted;
    }
    let unrecorded = report.unrecorded.as_ref().map(of_io);
    report.stages.iter().map(of_stage).chain(unrecorded).max().unwrap_or(Exit::Ok)
}

/// The code of a campaign that has ended.
pub(super) fn of_campaign(end: End) -> Exit {
    match end {
        End::Target | End::Exhausted => Exit::Ok,
        End::Budget => Exit::Budget,
        End::Plateau => Exit::Plateau,
        End::Stopped | End::Moved => Exit::Stopped,
        End::Blocked | End::Infrastructure => Exit::Blocked,
    }
}

/// The code of what keeps a run from going on.
pub(super) fn of_error(error: &EngineError) -> Exit {
    match error {
        EngineError::Unreadable { .. } => Exit::User,
        _ => error.io().map_or(Exit::Infrastructure, of_io),
    }
}

/// The code of what the system refused.
pub(super) fn of_io(error: &io::Error) -> Exit {
    if process::lasts(error) { Exit::User } else { Exit::Infrastructure }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::stage::Failure;
    use crate::measure::pairs::{Decided, DecisionReason};

    #[test]
    fn the_gravest_failure_decides() {
        let failed = |kind: StageKind, class| {
            let failure = Failure { class, message: String::new() };
            StageFinished::empty(kind, Outcome::Failed { failure })
        };
        let code = |stages: &[StageFinished]| {
            of_run(&RunReport { stages: stages.to_vec(), ..RunReport::default() })
        };
        assert_eq!(code(&[]), Exit::Ok);
        assert_eq!(code(&[failed(StageKind::Command, FailureClass::Failed)]), Exit::User);
        assert_eq!(code(&[failed(StageKind::Compile, FailureClass::Failed)]), Exit::Candidate);
        assert_eq!(code(&[failed(StageKind::Check, FailureClass::Crashed)]), Exit::Candidate);
        let both = [
            failed(StageKind::Check, FailureClass::Wrong),
            failed(StageKind::Bench, FailureClass::Infrastructure),
        ];
        assert_eq!(code(&both), Exit::Infrastructure);
        assert_eq!(code(&[failed(StageKind::Check, FailureClass::Setup)]), Exit::User);
        assert_eq!(code(&[failed(StageKind::Command, FailureClass::Setup)]), Exit::User);
        assert_eq!(code(&[failed(StageKind::Bench, FailureClass::Defect)]), Exit::Internal);
    }

    #[test]
    fn a_decision_has_its_code_whatever_class_of_failure_stops_what_depends_on_it() {
        for (decision, exit) in [
            (Decision::Keep, Exit::Ok),
            (Decision::Revert, Exit::Candidate),
            (Decision::Undecided, Exit::Undecided),
        ] {
            let failure = Failure { class: FailureClass::NotBetter, message: String::new() };
            let outcome = Outcome::Failed { failure };
            let mut stage = StageFinished::empty(StageKind::Command, outcome);
            stage.decision = Some(Decided { decision, reason: DecisionReason::Slower, gain: None });
            let report = RunReport { stages: vec![stage], ..RunReport::default() };
            assert_eq!(of_run(&report), exit);
        }
    }

    #[test]
    fn only_what_may_go_away_says_try_again() {
        let state = |kind: io::ErrorKind| {
            of_error(&EngineError::State {
                what: "cannot make .optloop".into(),
                source: kind.into(),
            })
        };
        for (kind, expected) in [
            (io::ErrorKind::PermissionDenied, Exit::User),
            (io::ErrorKind::ReadOnlyFilesystem, Exit::User),
            (io::ErrorKind::NotADirectory, Exit::User),
            (io::ErrorKind::StorageFull, Exit::Infrastructure),
            (io::ErrorKind::QuotaExceeded, Exit::Infrastructure),
            (io::ErrorKind::OutOfMemory, Exit::Infrastructure),
        ] {
            assert_eq!(state(kind), expected, "{kind}");
        }
        let (device, holder) = ("cpu".to_owned(), "pid 7".to_owned());
        assert_eq!(of_error(&EngineError::DeviceBusy { device, holder }), Exit::Infrastructure);
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
            Exit::Unread,
        ] {
            assert!(
                TABLE
                    .lines()
                    .any(|l| l.split_whitespace().next() == Some(&(exit as u8).to_string()))
            );
        }
    }
}
