//! The CUDA device that a stage asks for: which one it is, and what is missing where there is none.

use std::ffi::OsString;

use crate::backend::cuda::{CudaDevice, CudaProbe, probe};
use crate::pipeline::Target;

/// Variables of the environment.
pub type Env<'a> = dyn Fn(&str) -> Option<OsString> + 'a;

/// Why a stage cannot run on the device that it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What is asked for and what there is instead.
    pub what: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Missing {
    /// Both in one text.
    pub fn words(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{}\n  help: {hint}", self.what),
            None => self.what.clone(),
        }
    }
}

/// What is missing for `target`; nothing for a processor. Asks the driver, which is initialised by
/// that: only for a stage that is about to run.
pub fn missing(target: &Target, env: &Env<'_>) -> Option<Missing> {
    find(target.cuda()?, env).err()
}

/// The device of that number or UUID.
///
/// # Errors
/// What is missing.
pub fn find(name: &str, env: &Env<'_>) -> Result<CudaDevice, Missing> {
    chosen(name, &probe_here(env))
}

fn chosen(name: &str, probe: &CudaProbe) -> Result<CudaDevice, Missing> {
    let CudaProbe::Devices(devices) = probe else {
        return Err(refused(name, &in_words(probe), hint(probe)));
    };
    let found = match name.parse::<usize>() {
        Ok(number) => devices.get(number),
        Err(_) => devices.iter().find(|device| device.uuid.starts_with(name)),
    };
    found.cloned().ok_or_else(|| {
        let hint = hint(probe).unwrap_or_else(|| {
            "`optloop devices` lists them; CUDA_VISIBLE_DEVICES may hide some".to_owned()
        });
        refused(name, &in_words(probe), Some(hint))
    })
}

fn refused(name: &str, words: &str, hint: Option<String>) -> Missing {
    Missing { what: format!("there is no device cuda:{name}: {words}"), hint }
}
