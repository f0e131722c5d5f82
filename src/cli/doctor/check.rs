//! One thing that the doctor looked at.

use crate::cli::lines::machine::{CheckLine, CheckStanding, CheckValues, MACHINE_VERSION};

/// One line of the answer.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) standing: CheckStanding,
    pub(super) found: String,
    /// What it costs, when it is not as it should be.
    pub(super) cost: &'static str,
    /// The command that mends it.
    pub(super) mend: String,
    /// What was measured, for programs.
    pub(super) values: CheckValues,
}

impl Check {
    pub(super) fn ok(name: &'static str, found: impl Into<String>) -> Self {
        let (cost, mend, values) = ("", String::new(), CheckValues::default());
        Self { name, standing: CheckStanding::Ok, found: found.into(), cost, mend, values }
    }

    pub(super) fn weak(
        name: &'static str,
        found: impl Into<String>,
        cost: &'static str,
        mend: &str,
    ) -> Self {
        let standing = CheckStanding::Weak;
        Self { standing, cost, mend: mend.to_owned(), ..Self::ok(name, found) }
    }

    pub(super) fn missing(
        name: &'static str,
        found: impl Into<String>,
        cost: &'static str,
        mend: &str,
    ) -> Self {
        Self { standing: CheckStanding::Missing, ..Self::weak(name, found, cost, mend) }
    }

    /// With what was measured.
    pub(super) fn with(self, values: CheckValues) -> Self {
        Self { values, ..self }
    }

    pub(super) fn line(&self) -> CheckLine {
        CheckLine {
            version: MACHINE_VERSION,
            check: self.name.to_owned(),
            standing: self.standing,
            found: self.found.clone(),
            cost: self.cost.to_owned(),
            mend: self.mend.clone(),
            values: self.values.clone(),
        }
    }
}
