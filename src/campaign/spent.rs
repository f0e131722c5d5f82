//! What calls of an agent cost, as far as the agent says so.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What one call cost, or several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Usage {
    /// US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dollars: Option<f64>,
    /// Tokens, those that were read and those that were written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
}

/// How much of it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reported {
    /// Each call says it.
    Exact,
    /// Some calls do not: it was at least so much.
    Partial,
    /// None does.
    #[default]
    Unavailable,
}

/// What all calls cost so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Spent {
    /// What those said that say it.
    pub usage: Usage,
    /// How many calls there were.
    pub calls: u32,
    /// How many of them said what they cost in dollars.
    pub with_dollars: u32,
    /// How many of them said how many tokens they took.
    pub with_tokens: u32,
}

impl Spent {
    /// With one call more.
    pub fn add(&mut self, call: Usage) {
        self.calls += 1;
        if let Some(dollars) = call.dollars {
            self.with_dollars += 1;
            self.usage.dollars = Some(self.usage.dollars.unwrap_or_default() + dollars);
        }
        if let Some(tokens) = call.tokens {
            self.with_tokens += 1;
            let all = self.usage.tokens.unwrap_or_default();
            self.usage.tokens = Some(all.saturating_add(tokens));
        }
    }

    /// In words.
    pub fn words(&self) -> String {
        if self.usage == Usage::default() {
            return "not reported".to_owned();
        }
        let known = |count: u32| match count {
            0 => Reported::Unavailable,
            count if count < self.calls => Reported::Partial,
            _ => Reported::Exact,
        };
        let word = |text: Option<String>, unit: &str, count: u32| match (text, known(count)) {
            (Some(text), Reported::Exact) => text,
            (Some(text), _) => {
                format!("at least {text} ({count} of {} calls say it)", self.calls)
            }
            (None, _) => format!("{unit} not reported"),
        };
        let dollars = self.usage.dollars.map(|dollars| format!("${dollars:.2}"));
        let tokens = self.usage.tokens.map(|tokens| format!("{tokens} tokens"));
        let parts =
            [word(dollars, "dollars", self.with_dollars), word(tokens, "tokens", self.with_tokens)];
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_calls_say_adds_up_and_what_is_missing_is_told() {
        let mut spent = Spent::default();
        spent.add(Usage::default());
        assert_eq!(spent.words(), "not reported");
        let mut spent = Spent::default();
        spent.add(Usage { dollars: Some(0.5), tokens: None });
        spent.add(Usage { dollars: Some(0.25), tokens: Some(1000) });
        let only = Spent { with_tokens: 0, usage: Usage { tokens: None, ..spent.usage }, ..spent };
        assert_eq!(only.words(), "$0.75, tokens not reported");
        let words = "$0.75, at least 1000 tokens (1 of 2 calls say it)";
        assert_eq!(spent.words(), words);
        spent.add(Usage { dollars: None, tokens: Some(u64::MAX) });
        assert_eq!(spent.usage.tokens, Some(u64::MAX));
    }
}
