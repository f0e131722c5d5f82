//! What a line changes about the rule: under the rule's own names, or the shorter ones of the
//! published vectors.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::diagnostic::nearest;
use crate::stats::sequential::{Confirm, Rule};

/// Names that change the rule.
const NAMES: [&str; 13] = [
    "looks",
    "lower_levels",
    "upper_levels",
    "minimum_effect",
    "gross",
    "confirm",
    "stages",
    "alpha",
    "beta",
    "dmin",
    "cmin",
    "cfrac",
    "cthr",
];

/// Names that say how pairs are measured. A replay has its pairs, so they change nothing.
const MEASURING: [&str; 7] = ["order", "restart", "crestart", "claim", "slot", "slot_warm", "stat"];

/// How a line writes the confirmation.
#[derive(Deserialize)]
#[serde(untagged)]
enum Confirmation {
    Word(String),
    Parts(Parts),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    fraction: Option<f64>,
    fewest: Option<u32>,
    threshold: Option<f64>,
    rounds: Option<u32>,
}

/// The default rule with these changes.
pub(super) fn rule(changes: &Map<String, Value>) -> Result<Rule, String> {
    known(changes)?;
    let looks: Option<Vec<u32>> = either(changes, "looks", "stages")?;
    let mut rule = looks.map_or_else(Rule::default, |looks| Rule::with_looks(&looks));
    set(&mut rule.lower_levels, either(changes, "lower_levels", "alpha")?);
    set(&mut rule.upper_levels, either(changes, "upper_levels", "beta")?);
    set(&mut rule.minimum_effect, either(changes, "minimum_effect", "dmin")?);
    set(&mut rule.gross, either(changes, "gross", "gross")?);
    rule.confirm = confirm(changes)?;
    rule.validate().map_err(|bad| bad.to_string())?;
    Ok(rule)
}

fn known(changes: &Map<String, Value>) -> Result<(), String> {
    let unknown =
        |name: &&String| !NAMES.contains(&name.as_str()) && !MEASURING.contains(&name.as_str());
    let Some(name) = changes.keys().find(unknown) else { return Ok(()) };
    Err(match nearest(name, NAMES) {
        Some(near) => format!("rule has no `{name}`: did you mean `{near}`?"),
        None => format!("rule has no `{name}`: there are {}", NAMES.join(", ")),
    })
}

fn confirm(changes: &Map<String, Value>) -> Result<Option<Confirm>, String> {
    let mut confirm = Confirm::default();
    set(&mut confirm.fewest, value(changes, "cmin")?);
    set(&mut confirm.fraction, value(changes, "cfrac")?);
    set(&mut confirm.threshold, value(changes, "cthr")?);
    if changes.get("confirm").is_some_and(Value::is_null) {
        return Ok(None);
    }
    match value(changes, "confirm")? {
        None => {}
        Some(Confirmation::Word(word)) => match word.as_str() {
            "half" => {}
            "none" => return Ok(None),
            word => return Err(format!("confirm is \"{word}\": write \"half\" or \"none\"")),
        },
        Some(Confirmation::Parts(parts)) => {
            set(&mut confirm.fewest, parts.fewest);
            set(&mut confirm.fraction, parts.fraction);
            set(&mut confirm.threshold, parts.threshold);
            set(&mut confirm.rounds, parts.rounds);
        }
    }
    Ok(Some(confirm))
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

/// The value under one of two names for the same thing.
fn either<T: DeserializeOwned>(
    changes: &Map<String, Value>,
    name: &str,
    short: &str,
) -> Result<Option<T>, String> {
    if name != short && changes.contains_key(name) && changes.contains_key(short) {
        return Err(format!("rule has both `{name}` and `{short}`, which are the same: write one"));
    }
    Ok(value(changes, name)?.or(value(changes, short)?))
}

fn value<T: DeserializeOwned>(
    changes: &Map<String, Value>,
    name: &str,
) -> Result<Option<T>, String> {
    let Some(value) = changes.get(name) else { return Ok(None) };
    T::deserialize(value).map(Some).map_err(|e| format!("rule.{name} is {value}: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Rule, String> {
        rule(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn the_whole_configuration_of_the_vectors_is_the_default() {
        let vectors: Value =
            serde_json::from_str(include_str!("../../../tests/vectors/decision.json")).unwrap();
        let found = rule(vectors["config"].as_object().unwrap()).unwrap();
        assert_eq!(found, Rule::default());
    }

    #[test]
    fn both_kinds_of_names_change_the_same() {
        for (own, short) in [
            ("{\"looks\":[8,16]}", "{\"stages\":[8,16]}"),
            ("{\"minimum_effect\":0.01}", "{\"dmin\":0.01}"),
            ("{\"confirm\":null}", "{\"confirm\":\"none\"}"),
            ("{\"confirm\":{\"fewest\":4}}", "{\"confirm\":\"half\",\"cmin\":4}"),
            ("{\"confirm\":{\"fraction\":1,\"threshold\":1}}", "{\"cfrac\":1,\"cthr\":1}"),
            (
                "{\"looks\":[8],\"lower_levels\":[0.01],\"upper_levels\":[0.2]}",
                "{\"stages\":[8],\"alpha\":[0.01],\"beta\":[0.2]}",
            ),
        ] {
            let found = of(own).unwrap();
            assert_eq!(found, of(short).unwrap(), "{own}");
            assert_ne!(found, Rule::default(), "{own}");
        }
        assert_eq!(of("{\"stages\":[8,16]}").unwrap(), Rule::with_looks(&[8, 16]));
    }

    #[test]
    fn what_a_rule_does_not_have_or_cannot_take_is_refused() {
        for (text, said) in [
            ("{\"stage\":[8]}", "did you mean `stages`?"),
            ("{\"patience\":1}", "there are looks"),
            ("{\"stages\":[8,4]}", "rising"),
            ("{\"stages\":[8]  ,\"alpha\":[0.1,0.1]}", "2 levels for 1 looks"),
            ("{\"looks\":[8],\"stages\":[8]}", "both `looks` and `stages`"),
            ("{\"dmin\":\"x\"}", "rule.dmin is \"x\""),
            ("{\"confirm\":\"twice\"}", "\"half\" or \"none\""),
            ("{\"confirm\":{\"many\":1}}", "rule.confirm"),
        ] {
            let error = of(text).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
