//! A command's number: how it is read, in which unit, and which way is better.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stats::Direction;

/// How a command's number is read, and which way is better.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandMetric {
    /// Its name among the stage's results.
    pub name: String,
    /// How it is found in what the command prints.
    pub from: MetricSource,
    /// Where it is printed.
    pub stream: MetricStream,
    /// What it is given in, where it is a time that may be printed in several units.
    pub unit: Option<TimeUnit>,
    /// Which way is better.
    pub better: Direction,
    /// How two of them are compared.
    pub scale: MetricScale,
    /// Whether it is the same each time; `None`: seen when it is.
    pub deterministic: Option<bool>,
}

/// How two values of a metric are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MetricScale {
    /// By their ratio; they must be above 0.
    Ratio,
    /// By their difference, in the metric's own unit: for percentages and what may be 0 or less.
    Difference,
}

/// Where a command's number stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum MetricSource {
    /// Last match's group `value`, else its first one but `unit`, else all of it.
    Regex(String),
    /// RFC 9535 path into the last JSON document of the output.
    JsonPath(String),
}

/// Where a command prints its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MetricStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl MetricStream {
    /// For people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Stdout => "standard output",
            Self::Stderr => "standard error",
        }
    }

    /// The other one, and its word in the file.
    pub const fn other(self) -> (Self, &'static str) {
        match self {
            Self::Stdout => (Self::Stderr, "stderr"),
            Self::Stderr => (Self::Stdout, "stdout"),
        }
    }
}

/// A unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TimeUnit {
    /// Nanoseconds.
    Ns,
    /// Microseconds.
    Us,
    /// Milliseconds.
    Ms,
    /// Seconds.
    S,
}

impl TimeUnit {
    /// As programs print it.
    pub fn read(text: &str) -> Option<Self> {
        match text.trim() {
            "ns" | "nsec" | "nsecs" => Some(Self::Ns),
            "us" | "\u{b5}s" | "\u{3bc}s" | "usec" | "usecs" => Some(Self::Us),
            "ms" | "msec" | "msecs" => Some(Self::Ms),
            "s" | "sec" | "secs" | "second" | "seconds" => Some(Self::S),
            _ => None,
        }
    }

    /// By the end of a metric's name: `time_us`.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        let (_, end) = name.rsplit_once('_')?;
        [Self::Ns, Self::Us, Self::Ms, Self::S].into_iter().find(|unit| unit.word() == end)
    }

    /// The word in the file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ns => "ns",
            Self::Us => "us",
            Self::Ms => "ms",
            Self::S => "s",
        }
    }

    const fn ns(self) -> f64 {
        match self {
            Self::Ns => 1.0,
            Self::Us => 1e3,
            Self::Ms => 1e6,
            Self::S => 1e9,
        }
    }

    /// A value of this unit in another one.
    pub fn to(self, other: Self, value: f64) -> f64 {
        if self == other { value } else { value * self.ns() / other.ns() }
    }
}

#[cfg(test)]
mod tests {
    use super::TimeUnit;

    #[test]
    fn times_are_the_same_in_every_unit() {
        for (text, value, wanted_us) in [
            ("ns", 930_100.0, 930.1),
            ("us", 930.1, 930.1),
            ("\u{b5}s", 930.1, 930.1),
            ("\u{3bc}s", 930.1, 930.1),
            ("ms", 1.302, 1302.0),
            (" s", 0.5, 500_000.0),
        ] {
            let unit = TimeUnit::read(text).expect("a unit");
            let got = unit.to(TimeUnit::Us, value);
            assert!((got / wanted_us - 1.0).abs() < 1e-12, "{value} {text}: {got}");
        }
        assert_eq!(TimeUnit::read("MB"), None);
    }

    #[test]
    fn a_name_may_say_its_unit() {
        for (name, wanted) in [
            ("time_us", Some(TimeUnit::Us)),
            ("a_b_ns", Some(TimeUnit::Ns)),
            ("cycles", None),
            ("us", None),
        ] {
            assert_eq!(TimeUnit::of_name(name), wanted, "{name}");
        }
    }
}
