//! What people change while a campaign runs: it is taken up before the next iteration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One request; what it does not name stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Steering {
    /// Goes into every later prompt.
    pub say: Option<String>,
    /// The metric that is enough, in its unit.
    pub target: Option<f64>,
    /// A better one to aim at; it ends nothing.
    pub stretch: Option<f64>,
    /// Files and patterns that may be changed now, of those that `scope.approve` names.
    pub approve: Vec<String>,
    /// The most iterations.
    pub iterations: Option<u32>,
    /// The most time, h.
    pub hours: Option<f64>,
    /// The most failures of agents and of the machine.
    pub failures: Option<u32>,
}

impl Steering {
    /// Why it cannot be followed, whatever the campaign; nothing where it can.
    pub fn mistake(&self) -> Option<&'static str> {
        let is_number = |value: Option<f64>| value.is_none_or(f64::is_finite);
        if *self == Self::default() {
            return Some("it asks for nothing");
        }
        if self.say.as_ref().is_some_and(|say| say.trim().is_empty()) {
            return Some("it says nothing");
        }
        if !is_number(self.target) || !is_number(self.stretch) {
            return Some("a target is a number");
        }
        if self.hours.is_some_and(|hours| !hours.is_finite() || hours <= 0.0) {
            return Some("hours are more than 0");
        }
        (self.iterations == Some(0)).then_some("there is at least one iteration")
    }

    /// Both, one after the other. What is said is remembered elsewhere, each time.
    pub fn and_then(&mut self, later: &Self) {
        self.target = later.target.or(self.target);
        self.stretch = later.stretch.or(self.stretch);
        self.iterations = later.iterations.or(self.iterations);
        self.hours = later.hours.or(self.hours);
        self.failures = later.failures.or(self.failures);
        let is_new = |path: &&String| !self.approve.contains(path);
        let more: Vec<String> = later.approve.iter().filter(is_new).cloned().collect();
        self.approve.extend(more);
    }

    /// In words, each part behind the other.
    pub fn words(&self) -> String {
        let mut words = Vec::new();
        words.extend(self.say.as_ref().map(|say| format!("says `{}`", say.trim())));
        words.extend(self.target.map(|target| format!("target {target}")));
        words.extend(self.stretch.map(|stretch| format!("stretch target {stretch}")));
        words.extend(self.approve.iter().map(|path| format!("approves {path}")));
        words.extend(self.iterations.map(|most| format!("at most {most} iterations")));
        words.extend(self.hours.map(|most| format!("at most {most} h")));
        words.extend(self.failures.map(|most| format!("at most {most} failures")));
        words.join(", ")
    }
}

/// What people said, and from when on it counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Directive {
    /// The first iteration whose prompt holds it.
    pub from: u32,
    /// What they said.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_wish_counts_and_what_it_does_not_name_stays() {
        let first = Steering {
            target: Some(5.0),
            iterations: Some(20),
            approve: vec!["a".to_owned()],
            ..Steering::default()
        };
        let second = Steering {
            target: Some(4.0),
            hours: Some(1.0),
            approve: vec!["a".to_owned(), "b".to_owned()],
            ..Steering::default()
        };
        let mut both = first.clone();
        both.and_then(&second);
        assert_eq!((both.target, both.iterations, both.hours), (Some(4.0), Some(20), Some(1.0)));
        assert_eq!(both.approve, ["a", "b"]);
        let words = "target 4, approves a, approves b, at most 1 h";
        assert_eq!(second.words(), words);
    }

    #[test]
    fn what_cannot_be_followed_is_named() {
        let wrong = [
            Steering::default(),
            Steering { say: Some("  ".to_owned()), ..Steering::default() },
            Steering { target: Some(f64::NAN), ..Steering::default() },
            Steering { stretch: Some(f64::INFINITY), ..Steering::default() },
            Steering { hours: Some(0.0), ..Steering::default() },
            Steering { iterations: Some(0), ..Steering::default() },
        ];
        for steering in wrong {
            assert!(steering.mistake().is_some(), "{steering:?}");
        }
        let right = Steering { failures: Some(0), ..Steering::default() };
        assert_eq!(right.mistake(), None);
    }
}
