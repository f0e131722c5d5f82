//! One parsed table over another, each value keeping the place it was written at.

use toml::de::{DeTable, DeValue};

/// Adds `base` to every span.
pub(super) fn shift(table: &mut DeTable<'_>, base: usize) {
    for (key, mut value) in std::mem::take(table) {
        let span = key.span();
        let key = toml::Spanned::new(span.start + base..span.end + base, key.into_inner());
        shift_value(&mut value, base);
        table.insert(key, value);
    }
}

fn shift_value(value: &mut toml::Spanned<DeValue<'_>>, base: usize) {
    match value.get_mut() {
        DeValue::Table(table) => shift(table, base),
        DeValue::Array(list) => list.iter_mut().for_each(|item| shift_value(item, base)),
        _ => {}
    }
    let span = value.span();
    let empty = DeValue::Boolean(false);
    let inner = std::mem::replace(value.get_mut(), empty);
    *value = toml::Spanned::new(span.start + base..span.end + base, inner);
}

/// Puts `over` over `table`: tables are merged, everything else is replaced.
pub(super) fn merge<'a>(table: &mut DeTable<'a>, over: DeTable<'a>) {
    for (key, value) in over {
        match table.get_mut(key.get_ref().as_ref()).map(toml::Spanned::get_mut) {
            Some(DeValue::Table(below)) if value.get_ref().is_table() => {
                if let DeValue::Table(above) = value.into_inner() {
                    merge(below, above);
                }
            }
            // The key stays: it says where among the others the value belongs.
            Some(_) => {
                if let Some(slot) = table.get_mut(key.get_ref().as_ref()) {
                    *slot = value;
                }
            }
            None => {
                table.insert(key, value);
            }
        }
    }
}
