//! Whose failure it is that there is nothing to compare with.

use crate::engine::stage::{Failure, FailureClass};
use crate::pipeline::Incumbent;

/// A failure of the incumbent's, which is not the candidate's fault. What failed once by what it
/// computes fails every time: that is not to be tried again, but changed.
pub(super) fn incumbents(incumbent: &Incumbent, called: &str, failure: &Failure) -> Failure {
    let Failure { class, message } = failure;
    let passing = [FailureClass::Infrastructure, FailureClass::Interrupted, FailureClass::NoDevice];
    if passing.contains(class) {
        let message = format!(
            "the incumbent ({called}) could not be run, so there is nothing to compare with: {message}"
        );
        return Failure { class: *class, message };
    }
    let to_do = match incumbent {
        Incumbent::Best | Incumbent::Baseline => {
            "to begin anew with the kernel as it is now: `optloop best reset`, then run the pipeline"
        }
        _ => "name another incumbent, or write incumbent = \"none\"",
    };
    let message = format!(
        "the incumbent ({called}) fails this itself, so there is nothing to compare with: \
         {message}\n{to_do}"
    );
    Failure { class: FailureClass::Incumbent, message }
}
