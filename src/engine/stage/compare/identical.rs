//! What is said of a kernel that is the incumbent's very code: there is nothing to compare.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::pipeline::COMPARED;

/// Whose numbers are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::engine) enum Numbers {
    /// The incumbent's, as they were measured when it was no incumbent yet.
    Incumbents,
    /// Its own: it was measured alone.
    Measured,
}

/// A kernel beside itself.
pub(in crate::engine) struct Identical<'a> {
    /// How people call the incumbent.
    pub(in crate::engine) against: &'a str,
    /// The stage's number.
    pub(in crate::engine) metric: &'a str,
    /// Whose numbers these are.
    pub(in crate::engine) numbers: Numbers,
}

impl Identical<'_> {
    /// Marks a result, which must not be taken for that of a comparison.
    pub(in crate::engine) fn tell(&self, metrics: &mut BTreeMap<String, f64>, detail: &mut Value) {
        metrics.extend(COMPARED.map(|name| (name.to_owned(), 0.0)));
        if !detail.is_object() {
            *detail = json!({});
        }
        if let Some(detail) = detail.as_object_mut().filter(|_| self.numbers == Numbers::Incumbents)
        {
            for part in ["comparison", "warnings", "profile", "telemetry"] {
                detail.remove(part);
            }
        }
        detail["metric"] = self.metric.into();
        detail["identical"] = json!({ "against": self.against, "numbers": self.numbers });
        detail["words"] = self.words().into();
    }

    fn words(&self) -> String {
        let against = self.against;
        match self.numbers {
            Numbers::Incumbents => format!(
                "identical code: nothing was measured, these are the numbers of {against}, which is \
                 the very same"
            ),
            Numbers::Measured => format!(
                "identical code: it was measured alone, for {against} is the very same and there is \
                 nothing to compare"
            ),
        }
    }
}
