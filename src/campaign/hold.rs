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
    let mut said = HoldError::Ended;
    for attempt in 0..hold.attempts {
        if attempt > 0 {
            pause(hold.pause, place.cancel);
        }
        for allocate in &hold.pools {
            if place.cancel.is_set() {
                return Err(HoldError::Interrupted);
            }
            let request = HoldRequest {
                program: place.program,
                allocate,
                release: &hold.release,
                patience: hold.timeout,
                dir: place.dir,
                env: place.env,
                cancel: place.cancel,
            };
            match Held::take(&request) {
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
