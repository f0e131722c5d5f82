//! A CUDA device's clock, held while a stage measures that asks for it.

use super::bench::BenchDef;
use super::{Failure, FailureClass, StageContext};
use crate::backend::cuda::Conditions;
use crate::backend::cuda::clocks::{Lock, Request};
use crate::pipeline::Clocks;
use crate::plan::kernel::{CUDA_ENV, WORKER_ENV};

/// What to do where it cannot be held.
const HINT: &str = "leave `clocks` out, or run as root";

/// Holds the device's clock until the lock is dropped, where the stage asks for that.
pub(super) fn hold(def: &BenchDef, ctx: &StageContext<'_>) -> Result<Option<Lock>, Failure> {
    let (Clocks::Lock, Some(device)) = (def.work.clocks, def.target.cuda()) else {
        return Ok(None);
    };
    let mut env = ctx.inherited(&WORKER_ENV);
    env.extend(ctx.inherited(&CUDA_ENV));
    let request = Request { program: ctx.host.program(), device, env: &env, cancel: ctx.cancel };
    Lock::take(&request).map(Some).map_err(|why| {
        if ctx.cancel.is_set() {
            return Failure { class: FailureClass::Interrupted, message: why.to_string() };
        }
        let message = format!("cuda:{device}: {why}; {HINT}");
        // No word about the candidate: this machine does not do what was asked for.
        Failure { class: FailureClass::Setup, message }
    })
}

/// Refuses what was measured when the lock did not last: its holder was ended meanwhile.
pub(super) fn lasted(lock: Option<&mut Lock>) -> Result<(), Failure> {
    if lock.is_none_or(Lock::is_held) {
        return Ok(());
    }
    let message = "the clock was let go while it was measured: somebody ended the process that held \
                   it; measure again";
    Err(Failure { class: FailureClass::Infrastructure, message: message.to_owned() })
}

/// What was held, and what the device itself said of its clock meanwhile.
pub(super) fn words(rate: &str, seen: &[Conditions]) -> String {
    let told = || seen.iter().filter_map(|conditions| conditions.sm_mhz);
    match (told().min(), told().max()) {
        (Some(least), Some(most)) if least < most => {
            format!("locked ({rate}), between {least} and {most} MHz")
        }
        (Some(mhz), _) => format!("locked at {mhz} MHz ({rate})"),
        (None, _) => format!("locked ({rate})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_clock_is_told_with_what_was_seen_of_it() {
        let seen = |mhz: &[Option<u32>]| -> Vec<Conditions> {
            mhz.iter().map(|mhz| Conditions { sm_mhz: *mhz, ..Conditions::default() }).collect()
        };
        for (mhz, expected) in [
            (&[Some(1410), None, Some(1410)][..], "locked at 1410 MHz (base clock)"),
            (&[Some(1410), Some(1395)], "locked (base clock), between 1395 and 1410 MHz"),
            (&[None], "locked (base clock)"),
        ] {
            assert_eq!(words("base clock", &seen(mhz)), expected);
        }
    }
}
