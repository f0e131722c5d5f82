//! A parsed table against a [`Shape`]: reports everything that does not fit and takes it out, so
//! that the rest can still be understood and checked further.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::shape::{Bounds, Id, List, Node, Rest, Shape, Table, Text};
use super::{Diagnostic, SourceMap, nearest};

/// Whether a value can stay where it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fits {
    Yes,
    No,
}

pub(super) struct Walker<'a> {
    pub(super) shape: &'a Shape,
    pub(super) map: &'a SourceMap,
    pub(super) found: Vec<Diagnostic>,
}

impl Walker<'_> {
    /// Checks the document itself.
    pub(super) fn root(&mut self, table: &mut DeTable<'_>) -> Fits {
        let shape = self.shape;
        match shape.node(0).tables.as_slice() {
            [expected] => self.table(expected, table, &(0..0)),
            _ => Fits::Yes,
        }
    }

    fn value(&mut self, id: Id, key: &str, value: &mut Spanned<DeValue<'_>>) -> Fits {
        let shape = self.shape;
        let node = shape.node(id);
        let span = value.span();
        if node.any {
            return Fits::Yes;
        }
        match value.get_mut() {
            DeValue::String(text) if let Some(wanted) = &node.string => {
                self.text(wanted, key, text, span)
            }
            DeValue::Integer(number) if let Some(bounds) = node.integer.or(node.number) => {
                let value = i64::from_str_radix(number.as_str(), number.radix());
                self.number(bounds, key, value.map_or(f64::INFINITY, |value| value as f64), span)
            }
            DeValue::Float(number) if let Some(bounds) = node.number => {
                let value = number.as_str().replace('_', "").parse().unwrap_or(f64::NAN);
                self.number(bounds, key, value, span)
            }
            DeValue::Boolean(_) if node.boolean => Fits::Yes,
            DeValue::Array(list) if let Some(wanted) = &node.list => {
                self.list(wanted, key, list, span)
            }
            DeValue::Table(table) if !node.tables.is_empty() => self.tables(node, table, &span),
            other => {
                let label = format!("expected {}, found {}", node.describe(shape), kind(other));
                self.report("wrong-type", format!("wrong type for `{key}`"), span, label)
            }
        }
    }

    fn text(&mut self, wanted: &Text, key: &str, text: &str, span: Range<usize>) -> Fits {
        if (text.chars().count() as u64) < wanted.min_length {
            let label = "write something here".to_owned();
            return self.report("empty", format!("`{key}` must not be empty"), span, label);
        }
        if wanted.values.is_empty() || wanted.values.iter().any(|value| value == text) {
            return Fits::Yes;
        }
        let names = wanted.values.iter().map(String::as_str);
        let label = nearest(text, names).map_or_else(
            || "not one of its values".to_owned(),
            |name| format!("did you mean `{name}`?"),
        );
        let help = format!("`{key}` is one of: {}", wanted.values.join(", "));
        let message = format!("unknown value `{text}` for `{key}`");
        self.report("unknown-value", message, span, label);
        self.advise(help)
    }

    fn number(&mut self, bounds: Bounds, key: &str, value: f64, span: Range<usize>) -> Fits {
        let label = match bounds {
            _ if value.is_nan() || value.is_infinite() => "too large, or not a number".to_owned(),
            Bounds { min: Some(min), .. } if value < min => format!("must be at least {min}"),
            Bounds { above: Some(min), .. } if value <= min => format!("must be above {min}"),
            Bounds { max: Some(max), .. } if value > max => format!("must be at most {max}"),
            _ => return Fits::Yes,
        };
        self.report("out-of-range", format!("`{key}` is out of range"), span, label)
    }

    fn list(
        &mut self,
        wanted: &List,
        key: &str,
        list: &mut DeArray<'_>,
        span: Range<usize>,
    ) -> Fits {
        let count = list.len() as u64;
        if count < wanted.min_items {
            let (message, label) = if count == 0 {
                (format!("`{key}` must not be empty"), "an empty list".to_owned())
            } else {
                (
                    format!("`{key}` is too short"),
                    format!("at least {} are needed", wanted.min_items),
                )
            };
            return self.report("empty", message, span, label);
        }
        if let Some(most) = wanted.max_items.filter(|most| count > *most) {
            let label = format!("at most {most} are possible");
            return self.report("too-many", format!("`{key}` is too long"), span, label);
        }
        let Some(items) = wanted.items else {
            return Fits::Yes;
        };
        let mut broken = Vec::new();
        for (index, item) in list.iter_mut().enumerate() {
            if self.value(items, key, item) == Fits::No {
                broken.push(index);
            }
        }
        if !broken.is_empty() {
            let all = std::mem::replace(list, DeArray::new()).into_iter().enumerate();
            let good = all.filter(|(index, _)| !broken.contains(index));
            *list = good.map(|(_, item)| item).collect();
        }
        Fits::Yes
    }

    /// Picks the alternative that the table is meant to be.
    fn tables(&mut self, node: &Node, table: &mut DeTable<'_>, span: &Range<usize>) -> Fits {
        let has = |name: &String| table.contains_key(name.as_str());
        let meant = match node.tables.as_slice() {
            [only] => Some(only),
            many => many
                .iter()
                .find(|table| !table.required.is_empty() && table.required.iter().all(has))
                .or_else(|| many.iter().find(|table| table.names.iter().any(has)))
                .or_else(|| many.iter().find(|table| table.rest != Rest::Nothing)),
        };
        if let Some(meant) = meant {
            return self.table(meant, table, span);
        }
        let names = node.tables.iter().flat_map(|table| table.names.clone());
        let union = Table { names: names.collect(), rest: Rest::Nothing, ..Table::default() };
        if table.is_empty() {
            let label = format!("one of {} is needed", union.names.join(", "));
            let message = "this table is empty";
            return self.report("missing-key", message, span.clone(), label);
        }
        self.table(&union, table, span);
        Fits::No
    }

    fn table(&mut self, wanted: &Table, table: &mut DeTable<'_>, span: &Range<usize>) -> Fits {
        let mut out: Vec<String> = Vec::new();
        let mut fits = Fits::Yes;
        let mut meant: Vec<String> = Vec::new();
        for (key, value) in table.iter_mut() {
            let name = key.get_ref().as_ref();
            let id = match (wanted.properties.get(name).copied(), wanted.rest) {
                (Some(id), _) | (None, Rest::Of(id)) => id,
                (None, Rest::Anything) => continue,
                (None, Rest::Nothing) => {
                    meant.extend(self.unknown_key(wanted, name, key.span()));
                    out.push(name.to_owned());
                    continue;
                }
            };
            if self.value(id, name, value) == Fits::No {
                if let Some(told) = self.found.last_mut() {
                    told.meant.get_or_insert_with(|| name.to_owned());
                }
                if wanted.required.iter().any(|required| required == name) {
                    fits = Fits::No;
                }
                out.push(name.to_owned());
            }
        }
        for name in wanted.required.iter().filter(|name| !table.contains_key(name.as_str())) {
            fits = Fits::No;
            if meant.contains(name) {
                continue;
            }
            let label = format!("`{name}` is required here");
            self.report("missing-key", format!("missing key `{name}`"), span.clone(), label);
        }
        for name in out {
            table.remove(name.as_str());
        }
        fits
    }

    /// Tells of a key that nothing knows; the one that it was probably meant to be.
    fn unknown_key(&mut self, wanted: &Table, name: &str, span: Range<usize>) -> Option<String> {
        let near = nearest(name, wanted.names.iter().map(String::as_str)).map(str::to_owned);
        let label = near.as_ref().map_or_else(
            || "no such key here".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        let help = format!("valid keys here: {}", wanted.names.join(", "));
        let message = format!("unknown key `{name}`");
        self.report("unknown-key", message, span, label);
        self.advise(help);
        if let Some(told) = self.found.last_mut() {
            told.meant.clone_from(&near);
        }
        near
    }

    fn report(
        &mut self,
        code: &'static str,
        message: impl Into<String>,
        span: Range<usize>,
        label: String,
    ) -> Fits {
        let found = Diagnostic::new(code, message).at_span(self.map, span, label);
        self.found.push(found);
        Fits::No
    }

    /// Adds what to do next to the last report.
    fn advise(&mut self, help: String) -> Fits {
        if let Some(last) = self.found.last_mut() {
            last.help = Some(help);
        }
        Fits::No
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
