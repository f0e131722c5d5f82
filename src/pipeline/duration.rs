//! `500ms`, `60s`, `2m`, `1h`.

/// No limit may be longer: a year is a slip of the unit.
const LONGEST_MS: f64 = 366.0 * 24.0 * 3_600_000.0;

/// Why a text is no duration, in words to stand under it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// It does not begin with a number.
    #[error("not a duration")]
    NoNumber,
    /// A number alone.
    #[error("a unit is missing: `{0}s`?")]
    NoUnit(String),
    /// A word that is no unit.
    #[error("unknown unit `{0}`")]
    UnknownUnit(String),
    /// Digits and points that make no number.
    #[error("`{0}` is not a number")]
    BadNumber(String),
    /// A slip of the unit.
    #[error("longer than a year")]
    TooLong,
}

/// Milliseconds of a text such as `1.5s`.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str) -> Result<u64, DurationError> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(DurationError::NoNumber);
    }
    let factor = match unit.trim_start() {
        "ms" => 1.0,
        "s" => 1000.0,
        "m" => 60_000.0,
        "h" => 3_600_000.0,
        "" => return Err(DurationError::NoUnit(number.to_owned())),
        unit => return Err(DurationError::UnknownUnit(unit.to_owned())),
    };
    let value: f64 = number.parse().map_err(|_| DurationError::BadNumber(number.to_owned()))?;
    let ms = (value * factor).round();
    if ms > LONGEST_MS {
        return Err(DurationError::TooLong);
    }
    Ok(ms as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn units_are_ms_s_m_and_h() {
        for (text, want) in [
            ("500ms", Ok(500)),
            ("60s", Ok(60_000)),
            ("1.5s", Ok(1500)),
            ("2m", Ok(120_000)),
            ("1h", Ok(3_600_000)),
            ("2 s", Ok(2000)),
            ("0s", Ok(0)),
            ("60", Err("a unit is missing: `60s`?")),
            ("60 sec", Err("unknown unit `sec`")),
            ("", Err("not a duration")),
            ("s", Err("not a duration")),
            ("-1s", Err("not a duration")),
            ("1.2.3s", Err("`1.2.3` is not a number")),
            ("9000h", Err("longer than a year")),
        ] {
            assert_eq!(
                parse(text).map_err(|error| error.to_string()),
                want.map_err(str::to_owned),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn whole_numbers_of_any_unit_are_exact(count in 0u64..8000, unit in 0usize..4) {
            let (name, factor) = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)][unit];
            prop_assert_eq!(parse(&format!("{count}{name}")), Ok(count * factor));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,12}") {
            let _any = parse(&text);
        }
    }
}
