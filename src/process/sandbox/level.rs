//! How much of a sandbox is asked for, and how much there is.

/// How much of a sandbox a pipeline asks for.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum SandboxMode {
    /// What this machine offers, and the level is recorded.
    #[default]
    Auto,
    /// All of it, or nothing runs.
    Required,
    /// None.
    Off,
}

impl SandboxMode {
    /// Refuses a level that is less than what was asked for.
    ///
    /// # Errors
    /// [`SandboxError::Missing`] when all of it is required and `level` is not full.
    pub fn accept(self, level: SandboxLevel) -> Result<(), SandboxError> {
        if self == Self::Required && !level.is_full() {
            return Err(SandboxError::Missing(level));
        }
        Ok(())
    }
}

/// Which parts of the sandbox there are.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct SandboxLevel {
    /// The Landlock interface in use, 0 for none.
    pub landlock_abi: u32,
    /// Calls are filtered.
    pub seccomp: bool,
}

impl SandboxLevel {
    /// In words: `landlock abi 7, seccomp` or `none`.
    pub fn describe(&self) -> String {
        match (self.landlock_abi, self.seccomp) {
            (0, false) => "none".to_owned(),
            (0, true) => "seccomp".to_owned(),
            (abi, false) => format!("landlock abi {abi}"),
            (abi, true) => format!("landlock abi {abi}, seccomp"),
        }
    }

    /// Both files and calls are confined. The oldest Landlock is enough for that: what later ones
    /// add (truncation, TCP, devices, signals) the filter refuses or the rules never open.
    pub fn is_full(&self) -> bool {
        self.landlock_abi > 0 && self.seccomp
    }
}

/// Why a process is not confined.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The machine has less than what is required.
    #[error(
        "the sandbox is required, and of Landlock and seccomp this machine offers: {have}; use \
         Linux 5.13 or later with `landlock` among its `lsm=`, outside a container that forbids \
         them, or set `sandbox = \"auto\"` to run with less",
        have = .0.describe()
    )]
    Missing(SandboxLevel),
    /// New privileges could not be renounced.
    #[error("cannot renounce new privileges: {0}; set `sandbox = \"off\"` to run without")]
    Privileges(#[source] std::io::Error),
    /// Landlock is there and refused its rules.
    #[error("cannot confine files by Landlock: {0}; set `sandbox = \"off\"` to run without")]
    Files(#[from] landlock::RulesetError),
    /// Seccomp is there and refused the filter.
    #[error("cannot filter calls by seccomp: {0}; set `sandbox = \"off\"` to run without")]
    Calls(#[from] seccompiler::Error),
}
