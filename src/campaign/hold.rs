//! A device that is held while a campaign is driven.

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use super::settings::Hold;
use crate::process::Cancel;
use crate::process::hold::{Held, HoldError, HoldRequest};

/// How soon a request to end is seen.
const SLICE: Duration = Duration::from_millis(50);

/// Where commands run that take a device and give it back.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// This program.
    pub program: &'a Path,
    /// The folder.
    pub dir: &'a Path,
    /// Their environment.
    pub env: &'a [(OsString, OsString)],
    /// Ends it.
    pub cancel: &'a Cancel,
}

/// Takes a device, from the first pool that has one.
///
/// # Errors
/// What the last command said, where none of them succeeded.
pub fn take(hold: &Hold, place: Place<'_>) -> Result<Held, HoldError> {
    first(hold, place.cancel, |allocate| {
        Held::take(&HoldRequest {
            program: place.program,
            allocate,
            release: &hold.release,
            patience: hold.timeout,
            dir: place.dir,
            env: place.env,
            cancel: place.cancel,
        })
    })
}

/// Tries one pool after the other, and all of them again after each pause.
fn first<T>(
    hold: &Hold,
    cancel: &Cancel,
    take: impl Fn(&[String]) -> Result<T, HoldError>,
) -> Result<T, HoldError> {
    let mut said = HoldError::Ended;
    for attempt in 0..hold.attempts {
        if attempt > 0 {
            pause(hold.pause, cancel);
        }
        for allocate in &hold.pools {
            if cancel.is_set() {
                return Err(HoldError::Interrupted);
            }
            match take(allocate) {
                Ok(held) => return Ok(held),
                Err(why) => said = why,
            }
        }
    }
    Err(said)
}

fn pause(time: Duration, cancel: &Cancel) {
    let until = Instant::now() + time;
    while !cancel.is_set() && Instant::now() < until {
        std::thread::sleep(SLICE.min(until.saturating_duration_since(Instant::now())));
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::campaign::file::HoldPolicy;

    fn hold(attempts: u32, pause: Duration) -> Hold {
        let pool = |name: &str| vec!["take".to_owned(), name.to_owned()];
        Hold {
            pools: vec![pool("first"), pool("fallback")],
            release: vec!["give".to_owned()],
            attempts,
            pause,
            timeout: Duration::from_secs(1),
            policy: HoldPolicy::Required,
        }
    }

    fn no(pool: &[String]) -> HoldError {
        HoldError::Refused(format!("{} has none", pool[1]))
    }

    #[test]
    fn each_attempt_tries_the_fallback_behind_the_first_pool_and_pauses_come_between_attempts() {
        let asked = RefCell::new(Vec::new());
        let pause = Duration::from_millis(20);
        let began = Instant::now();
        let taken = first(&hold(3, pause), &Cancel::default(), |pool| {
            asked.borrow_mut().push(pool[1].clone());
            Err::<(), _>(no(pool))
        });
        let said = taken.expect_err("nobody has one").to_string();
        assert_eq!(said, "fallback has none");
        assert_eq!(asked.into_inner(), ["first", "fallback"].repeat(3));
        assert!(began.elapsed() >= pause * 2, "two pauses between three attempts");

        let count = RefCell::new(0);
        let taken = first(&hold(3, pause), &Cancel::default(), |pool| {
            *count.borrow_mut() += 1;
            if *count.borrow() < 4 { Err(no(pool)) } else { Ok(pool[1].clone()) }
        });
        assert_eq!(taken.expect("the fourth"), "fallback");
        assert_eq!(count.into_inner(), 4, "nobody is asked once one is held");
    }

    #[test]
    fn a_request_to_end_is_heard_during_a_pause_and_between_pools() {
        let (long, cancel) = (Duration::from_hours(1), Cancel::default());
        let asked = RefCell::new(0);
        let taken = first(&hold(2, long), &cancel, |pool| {
            *asked.borrow_mut() += 1;
            if *asked.borrow() == 2 {
                cancel.request();
            }
            Err::<(), _>(no(pool))
        });
        assert!(matches!(taken, Err(HoldError::Interrupted)));
        assert_eq!(asked.into_inner(), 2, "no pool is asked after that");
    }
}
