//! What an agent is asked, in words.

mod asking;
mod context;
mod template;
mod words;

pub use asking::{Asking, AskingError};
pub use template::Template;
pub use words::one_line;

use super::history::History;
use super::settings::Settings;
use context::{Context, Number};

/// What a prompt is made of.
pub struct Brief<'a> {
    /// What is asked for.
    pub settings: &'a Settings,
    /// What has happened.
    pub history: &'a History,
    /// The iteration that is asked for.
    pub iteration: u32,
}

impl Brief<'_> {
    /// The prompt.
    pub fn text(&self) -> String {
        let settings = self.settings;
        let steering = &self.history.steering;
        let rules = settings.rules.steered(steering);
        let said = self.history.directives.iter().map(|one| one.text.clone());
        let context = Context {
            goal: settings.goal.trim().to_owned(),
            iteration: self.iteration,
            total: rules.iterations,
            edit: settings.patterns.edit.clone(),
            protect: settings.patterns.protect.clone(),
            directives: settings.asking.directives.iter().cloned().chain(said).collect(),
            target: rules.target.map(Number),
            stretch: steering.stretch.map(Number),
            ..Context::of(self.history)
        };
        settings.asking.template.text(&context)
    }
}

#[cfg(test)]
#[path = "prompt_tests.rs"]
mod tests;
