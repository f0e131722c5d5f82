//! One line of a replay: a decision's pairs in, what was decided out.

use serde::Serialize;
use serde_json::{Map, Value};

use super::overrides;
use crate::measure::pairs::{self, Decision};
use crate::pipeline::Guard;
use crate::stats::sequential::{Rule, Verdict, gain};

/// What is written for a line.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Answer {
    /// What was decided.
    Decided(Box<Decided>),
    /// Why nothing was.
    Refused(Refused),
}

/// What was decided. The numbers are those of the look that decided.
#[derive(Debug, Serialize)]
pub(super) struct Decided {
    id: Value,
    decision: &'static str,
    reason: &'static str,
    pairs: u32,
    estimate: Option<f64>,
    lower: Option<f64>,
    upper: Option<f64>,
    confirm_pairs: Option<u32>,
    confirm_estimate: Option<f64>,
    gain_pct: Option<f64>,
}

/// What is wrong with a line.
#[derive(Debug, Serialize)]
pub(super) struct Refused {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Value>,
    error: String,
    line: usize,
}

impl Answer {
    pub(super) fn is_refused(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}

/// Answers the line with this number.
pub(super) fn answer(text: &[u8], line: usize) -> Answer {
    let mut object = match serde_json::from_slice(text) {
        Ok(Value::Object(object)) => object,
        Ok(_) => {
            let error = "not an object: write {\"id\": …, \"d\": […]}".to_owned();
            return Answer::Refused(Refused { id: None, error, line });
        }
        Err(e) => {
            // A line has no other lines in it.
            let error = e.to_string().replace("line 1 column", "column");
            let error = format!("not JSON: {error}");
            return Answer::Refused(Refused { id: None, error, line });
        }
    };
    let id = object.remove("id");
    match decide(&object) {
        Ok(verdict) => {
            let id = id.unwrap_or(Value::Null);
            Answer::Decided(Box::new(Decided::of(id, &verdict)))
        }
        Err(error) => Answer::Refused(Refused { id, error, line }),
    }
}

fn decide(object: &Map<String, Value>) -> Result<Verdict, String> {
    let rule = match object.get("rule") {
        None | Some(Value::Null) => Rule::default(),
        Some(Value::Object(changes)) => overrides::rule(changes)?,
        Some(other) => {
            return Err(format!("rule is {other}: write an object such as {{\"gross\": 0}}"));
        }
    };
    let d = numbers(object, "d")?.ok_or("there is no d: write the ln(A/B) of each pair")?;
    let confirm = numbers(object, "confirm")?.unwrap_or_default();
    Ok(rule.judge(&d, &confirm))
}

/// A list of numbers; `None` when there is none.
fn numbers(object: &Map<String, Value>, name: &str) -> Result<Option<Vec<f64>>, String> {
    let Some(value) = object.get(name).filter(|value| !value.is_null()) else { return Ok(None) };
    let Value::Array(values) = value else {
        return Err(format!("{name} is not a list: write one number for each pair"));
    };
    let each = values.iter().enumerate().map(|(at, value)| {
        let number = value.as_f64().filter(|number| number.is_finite());
        number.ok_or_else(|| format!("{name}[{at}] is {value}, which is not a number"))
    });
    each.collect::<Result<Vec<f64>, String>>().map(Some)
}

impl Decided {
    fn of(id: Value, found: &Verdict) -> Self {
        let look = found.deciding();
        Self {
            id,
            decision: word(pairs::Decided::of(found, Guard::Off, &[]).decision),
            reason: found.reason.word(),
            pairs: found.pairs,
            estimate: look.map(|look| look.estimate),
            lower: look.and_then(|look| look.lower),
            upper: look.and_then(|look| look.upper),
            confirm_pairs: found.confirmed.map(|c| c.pairs),
            confirm_estimate: found.confirmed.map(|c| c.estimate),
            gain_pct: found.estimate().map(|d| 100.0 * gain(d)).filter(|gain| gain.is_finite()),
        }
    }
}

/// Decisions are small in lines for programs.
fn word(decision: Decision) -> &'static str {
    match decision {
        Decision::Keep => "keep",
        Decision::Revert => "revert",
        Decision::Undecided => "undecided",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(line: &str) -> Value {
        serde_json::to_value(answer(line.as_bytes(), 7)).unwrap()
    }

    fn line(d: f64, rest: &str) -> String {
        format!("{{\"id\":\"x\",\"d\":{:?}{rest}}}", vec![d; 64])
    }

    #[test]
    fn every_reason_has_its_decision_and_its_numbers() {
        let confirm = |d: f64| format!(",\"confirm\":{:?}", vec![d; 8]);
        for (line, decision, reason, pairs, confirmed) in [
            (line(0.02, &confirm(0.01)), "keep", "faster", 8, Value::from(0.01)),
            (line(0.02, &confirm(0.001)), "revert", "not_confirmed", 8, Value::from(0.001)),
            (line(0.02, ""), "undecided", "faster", 8, Value::Null),
            (line(0.02, ",\"confirm\":[0.02]"), "undecided", "faster", 8, Value::Null),
            (line(0.02, ",\"confirm\":null"), "undecided", "faster", 8, Value::Null),
            (line(0.0, ""), "revert", "no_worthwhile_difference", 4, Value::Null),
            (line(-0.02, ""), "revert", "slower", 4, Value::Null),
            (line(-0.3, ""), "revert", "grossly_slower", 2, Value::Null),
            ("{\"d\":[0.1,0.1,0.1,0.1]}".into(), "undecided", "inconclusive", 4, Value::Null),
            ("{\"d\":[]}".into(), "undecided", "inconclusive", 0, Value::Null),
        ] {
            let found = answered(&line);
            assert_eq!((&found["decision"], &found["reason"]), (&decision.into(), &reason.into()));
            assert_eq!((&found["pairs"], &found["confirm_estimate"]), (&pairs.into(), &confirmed));
            assert_eq!(found["id"].is_null(), !line.contains("id"), "{found}");
        }
    }

    #[test]
    fn the_gain_is_the_new_pairs_where_there_are_any() {
        let found = answered(&line(0.02, &format!(",\"confirm\":{:?}", [0.01; 9])));
        let gain = found["gain_pct"].as_f64().unwrap();
        assert!((gain - 100.0 * (1.0 - (-0.01_f64).exp())).abs() < 1e-9, "{found}");
        assert_eq!((&found["estimate"], &found["confirm_pairs"]), (&0.02.into(), &8.into()));
        let gross = answered(&line(-0.3, ""));
        assert_eq!((&gross["estimate"], &gross["upper"]), (&Value::from(-0.3), &Value::Null));
    }

    #[test]
    fn what_makes_no_sense_is_answered_with_what_is_wrong_and_where() {
        for (line, id, said) in [
            ("{\"id\":1,\"d\":[0.1,", Value::Null, "not JSON"),
            ("{\"id\":1,\"d\":[0.1,1e999]}", Value::Null, "not JSON"),
            ("[1,2]", Value::Null, "not an object"),
            ("{\"id\":1}", 1.into(), "there is no d"),
            ("{\"id\":1,\"d\":3}", 1.into(), "d is not a list"),
            ("{\"id\":1,\"d\":[0.1,null]}", 1.into(), "d[1] is null"),
            ("{\"id\":1,\"d\":[0.1],\"confirm\":[\"x\"]}", 1.into(), "confirm[0] is \"x\""),
            ("{\"id\":1,\"d\":[0.1],\"rule\":3}", 1.into(), "rule is 3"),
            ("{\"id\":1,\"d\":[0.1],\"rule\":{\"dmin\":-1}}", 1.into(), "minimum_effect is -1"),
        ] {
            let found = answered(line);
            assert!(found["error"].as_str().unwrap().contains(said), "{found}");
            assert_eq!((&found["id"], &found["line"]), (&id, &7.into()), "{found}");
        }
        assert!(matches!(answer(b"\xff\xfe", 1), Answer::Refused(_)));
    }
}
