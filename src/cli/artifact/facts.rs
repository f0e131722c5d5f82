//! Recorded values in words: their units are in their names.

use serde_json::Value;

use crate::cli::columns::number;
use crate::cli::words::duration_us;

/// Values of a list that are shown.
const SHOWN: usize = 8;

/// The name and value of one key; nothing for what holds nothing.
pub(super) fn fact(name: &str, value: &Value) -> Option<(String, String)> {
    let words = in_words(name, value)?;
    let bare = UNITS.iter().find_map(|(suffix, _)| name.strip_suffix(suffix)).unwrap_or(name);
    Some((bare.replace('_', " "), words))
}

/// The facts of named values, without those that hold nothing.
pub(super) fn facts(named: &[(&str, Value)]) -> Vec<(String, String)> {
    named.iter().filter_map(|(name, value)| fact(name, value)).collect()
}

/// Facts on one line.
pub(super) fn sentence(facts: &[(String, String)]) -> String {
    let phrases: Vec<String> =
        facts.iter().map(|(name, value)| format!("{name} {value}")).collect();
    phrases.join(", ")
}

/// Endings of names that say the unit, and what one of it is in microseconds.
const UNITS: [(&str, f64); 4] = [("_us", 1.0), ("_ns", 1e-3), ("_ms", 1e3), ("_seconds", 1e6)];

fn in_words(name: &str, value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Bool(yes) => Some(if *yes { "yes" } else { "no" }.to_owned()),
        Value::String(text) => (!text.trim().is_empty()).then(|| text.trim().to_owned()),
        Value::Number(n) => Some(quantity(name, n)),
        Value::Array(items) => list(name, items),
        Value::Object(object) => {
            let facts: Vec<(String, String)> =
                object.iter().filter_map(|(name, value)| fact(name, value)).collect();
            (!facts.is_empty()).then(|| sentence(&facts))
        }
    }
}

/// A part that speaks for itself, with what its lines leave out.
pub(super) fn told(
    name: &str,
    lines: &[String],
    parts: &[(&str, Value)],
) -> Option<(String, String)> {
    let is_told = |value: &Value| {
        value.as_str().is_some_and(|value| lines.iter().any(|line| line.contains(value)))
    };
    let rest: Vec<(String, String)> = parts
        .iter()
        .filter(|(_, value)| !is_told(value))
        .filter_map(|(name, value)| fact(name, value))
        .collect();
    let rest = (!rest.is_empty()).then(|| sentence(&rest));
    let all: Vec<String> = lines.iter().cloned().chain(rest).collect();
    (!all.is_empty()).then(|| (name.to_owned(), all.join("\n")))
}

fn quantity(name: &str, n: &serde_json::Number) -> String {
    let value = n.as_f64().unwrap_or(f64::NAN);
    if let Some((_, us)) = UNITS.iter().find(|(suffix, _)| name.ends_with(suffix)) {
        let sign = if value < 0.0 { "-" } else { "" };
        return format!("{sign}{}", duration_us(value.abs() * us));
    }
    if name == "level" || name.ends_with("share") {
        return percent(value);
    }
    // A seed has more digits than a float.
    if n.is_f64() { number(value) } else { n.to_string() }
}

/// A share of one.
pub(super) fn percent(share: f64) -> String {
    format!("{} %", number((share * 1000.0).round() / 10.0))
}

/// Objects on a line each, plain values on one.
fn list(name: &str, items: &[Value]) -> Option<String> {
    let separator = if items.iter().any(Value::is_object) {
        "\n"
    } else if items.iter().any(Value::is_string) {
        "; "
    } else {
        ", "
    };
    let words: Vec<String> = items.iter().filter_map(|item| in_words(name, item)).collect();
    if words.is_empty() {
        return None;
    }
    let shown = words[..words.len().min(SHOWN)].join(separator);
    match words.len().saturating_sub(SHOWN) {
        0 => Some(shown),
        more => Some(format!("{shown}{separator}and {more} more")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_read_in_their_units_and_what_is_empty_is_left_out() {
        for (name, value, words) in [
            ("floor_us", json!(1.25), "floor 1.25 us"),
            ("headroom_us", json!(-12.0), "headroom -12.0 us"),
            ("step_ns", json!(25), "step 25.0 ns"),
            ("saved_seconds", json!(1.5), "saved 1.50 s"),
            ("share", json!(0.4321), "share 43.2 %"),
            ("seed", json!(u64::MAX), "seed 18446744073709551615"),
            ("looks_used", json!(2), "looks used 2"),
            ("ok", json!(false), "ok no"),
            ("slow_us", json!([20.1, 1500]), "slow 20.1 us, 1.50 ms"),
            ("unstable", json!(["one", "two"]), "unstable one; two"),
            ("a", json!({"b_us": 2, "c": {"d": []}, "e": "x"}), "a b 2.00 us, e x"),
            ("rows", json!([{"rank": 1}, {"rank": 2}]), "rows rank 1\nrank 2"),
            (
                "many",
                json!([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
                "many 0, 1, 2, 3, 4, 5, 6, 7, and 2 more",
            ),
        ] {
            let (name, value) = fact(name, &value).expect("something");
            assert_eq!(format!("{name} {value}"), words);
        }
        let lines = ["n=1: by DRAM".to_owned(), "2  x".to_owned()];
        let parts = [("verdict", json!("by DRAM")), ("cycles", json!(5))];
        let (name, words) = told("profile", &lines, &parts).expect("something");
        assert_eq!(format!("{name} {words}"), "profile n=1: by DRAM\n2  x\ncycles 5");
        assert_eq!(told("profile", &[], &[("case", json!(null))]), None);
        for nothing in [json!(null), json!([]), json!({}), json!(" "), json!({"a": [null]})] {
            assert_eq!(fact("x", &nothing), None, "{nothing}");
        }
    }
}
