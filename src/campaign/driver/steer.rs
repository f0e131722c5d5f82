//! What people ask of a campaign that runs.

use super::approved::scope;
use super::{Driver, DriverError};
use crate::campaign::event::{Event, Rule, Steered};
use crate::campaign::inbox::{self, Request};
use crate::campaign::scope::{Meaning, Origin, Patterns, Scope};
use crate::campaign::steering::Steering;
use crate::campaign::step::Rules;

impl Driver<'_> {
    /// When it ends, with what people changed.
    pub(super) fn rules(&self) -> Rules {
        self.parts.settings.rules.steered(&self.history().steering)
    }

    /// The first request that has not been answered.
    pub(super) fn request(&self) -> Option<Request> {
        inbox::first(self.parts.folder, &self.history().answered)
    }

    /// Answers it; its file goes once it is looked for again.
    pub(super) fn steer(&mut self) -> Result<(), DriverError> {
        let Some(request) = self.request() else { return Ok(()) };
        let (mut asks, refused) = match request.asks {
            Ok(asks) => {
                let refused = refusal(&asks, &self.parts.settings.patterns);
                (asks, refused)
            }
            Err(why) => (Steering::default(), Some(why.to_string())),
        };
        asks.say = asks.say.map(|say| self.parts.secrets.redact(&say));
        self.note(Event::Steered(Steered { request: request.name, asks, refused }))?;
        self.scope = scope(self.parts.settings, self.history())?;
        Ok(())
    }

    /// Writes down what ends it, where the log does not say that yet.
    pub(super) fn note_limits(&mut self) -> Result<(), DriverError> {
        let limits = self.parts.settings.rules.limits();
        if self.history().limits == limits {
            return Ok(());
        }
        self.note(Event::Limited(limits))
    }

    /// Writes down why it cannot go on, for those who look at it later.
    pub(super) fn halted(&mut self, error: DriverError) -> DriverError {
        let message = self.parts.secrets.redact(&error.to_string());
        // The error itself counts, whether or not this can be written.
        drop(self.note(Event::Halted { message }));
        error
    }
}

/// Why a request is not followed.
fn refusal(asks: &Steering, patterns: &Patterns) -> Option<String> {
    if let Some(mistake) = asks.mistake() {
        return Some(mistake.to_owned());
    }
    asks.approve.iter().find_map(|path| unapprovable(path, patterns))
}

fn unapprovable(path: &str, patterns: &Patterns) -> Option<String> {
    if let Err(error) = Scope::new(&Patterns { edit: vec![path.to_owned()], ..Patterns::default() })
    {
        return Some(format!("`{path}` is no pattern: {}", error.kind()));
    }
    if patterns.approve.iter().any(|pattern| pattern == path) {
        return None;
    }
    let asked = Patterns { approved: Vec::new(), ..patterns.clone() };
    match Scope::new(&asked).ok()?.meaning(path, Origin::Project) {
        Meaning::Forbidden(Rule::NeedsApproval) => None,
        Meaning::Forbidden(Rule::Protected) => Some(format!("`{path}` is protected")),
        _ => Some(format!("`{path}` is not among the files that `scope.approve` names")),
    }
}
