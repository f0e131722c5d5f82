//! Names of functions as the source has them, out of mangled ones.

/// `_Z5scalePKfPfl` to `scale`, `_ZN3nn4axpyEPf` to `nn::axpy`; others as they are. Parts that a
/// compiler splits off keep their ending (`sgemm.cold`).
///
/// Only lengths and nesting of the Itanium C++ ABI's mangling are read (section 5.1): enough to
/// tell the functions of one kernel apart. What has templates stays mangled.
pub fn plain_name(symbol: &str) -> String {
    let (mangled, ending) = match symbol.find('.') {
        Some(dot) if dot > 0 => symbol.split_at(dot),
        _ => (symbol, ""),
    };
    let plain = mangled.strip_prefix("_Z").and_then(|rest| match rest.strip_prefix('N') {
        Some(nested) => nested_name(nested),
        None => Some(length_and_name(rest.strip_prefix('L').unwrap_or(rest))?.0.to_owned()),
    });
    plain.map_or_else(|| symbol.to_owned(), |name| name + ending)
}

/// True when a function's plain name is `entry` or a part that the compiler made of it.
pub fn is_of(name: &str, entry: &str) -> bool {
    let own = name.strip_prefix(entry).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    own || name.rsplit_once("::").is_some_and(|(_, last)| last == entry)
}

fn nested_name(mut rest: &str) -> Option<String> {
    let mut parts = Vec::new();
    while !rest.starts_with('E') {
        if let Some(after) = rest.strip_prefix("12_GLOBAL__N_1") {
            rest = after;
            continue;
        }
        let (name, after) = length_and_name(rest.strip_prefix('L').unwrap_or(rest))?;
        parts.push(name);
        rest = after;
    }
    (!parts.is_empty()).then(|| parts.join("::"))
}

/// `5scalePKf` to `scale` and what follows, unless that is a template's arguments.
fn length_and_name(text: &str) -> Option<(&str, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let length: usize = text[..digits].parse().ok()?;
    let (name, rest) = text[digits..].split_at_checked(length)?;
    (!rest.starts_with('I')).then_some((name, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mangled_names_are_told_as_the_source_has_them() {
        for (symbol, name) in [
            ("sgemm", "sgemm"),
            ("sgemm.cold", "sgemm.cold"),
            ("_Z5scalePKfPfl", "scale"),
            ("_ZL4packPKfPfiii", "pack"),
            ("_ZL4packPKfPfiii.constprop.0", "pack.constprop.0"),
            ("_ZN2nn4axpyEfPKf", "nn::axpy"),
            ("_ZN12_GLOBAL__N_14axpyEf", "axpy"),
            ("_Z3addIfEvT_", "_Z3addIfEvT_"),
            ("_Z99short", "_Z99short"),
            (".hidden", ".hidden"),
        ] {
            assert_eq!(plain_name(symbol), name);
        }
    }

    #[test]
    fn parts_of_the_entry_belong_to_it_and_namesakes_do_not() {
        for (name, is) in
            [("f", true), ("f.cold", true), ("nn::f", true), ("ff", false), ("f2.cold", false)]
        {
            assert_eq!(is_of(name, "f"), is, "{name}");
        }
    }
}
