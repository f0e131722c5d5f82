//! `cases` and `holdout`, and whether they fit memory.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Checker, Point, buffers, human};
use crate::diagnostic::{Entries, Spanned, nearest};
use crate::problem::case::extents;
use crate::problem::file::Size;
use crate::problem::{Arg, Case, Holdout};

/// Most hold-out cases: they are drawn, staged and checked one by one.
const MOST_DRAWN: i64 = 64;

type CaseFile = Spanned<Entries<Spanned<i64>>>;

impl Checker<'_> {
    pub(super) fn cases(&mut self, files: &[CaseFile]) -> Vec<Case> {
        let torn = files.iter().any(|file| self.is_torn(&file.span));
        let Some(model) = model(files).filter(|_| !torn) else {
            return Vec::new();
        };
        let names: Vec<&str> = model.iter().map(|(name, _)| name.as_str()).collect();
        for (name, _) in model {
            self.size_name(name);
        }
        let mut made: Vec<(Case, Range<usize>)> = Vec::new();
        for file in files {
            self.same_sizes(file, &names);
            let case = case(file);
            let twin = made.iter().find(|(other, _)| other.sizes == case.sizes);
            if let Some(first) = twin.map(|(_, span)| span.clone()) {
                let message = format!("the case `{}` is given twice", case.label);
                self.tell("duplicate-case", message, file.span.clone(), "given again here");
                self.also(first, "first given here");
            }
            made.push((case, file.span.clone()));
        }
        self.sizes = Some(names.iter().map(|&name| name.to_owned()).collect());
        let whole = |case: &Case| names.iter().all(|name| case.sizes.contains_key(*name));
        self.points = made
            .iter()
            .filter(|(case, _)| whole(case))
            .map(|(case, span)| Point {
                label: format!("`{}`", case.label),
                sizes: case.sizes.clone(),
                span: span.clone(),
            })
            .collect();
        made.into_iter().map(|(case, _)| case).collect()
    }

    fn size_name(&mut self, name: &Spanned<String>) {
        let start = |c: char| c.is_ascii_alphabetic() || c == '_';
        let plain =
            name.starts_with(start) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        // Expressions read `true` and `false` as values; `count` belongs to the hold-out.
        let taken = ["true", "false", "count"].contains(&name.as_str());
        if !plain || taken {
            let label = if plain { "means something else here" } else { "no name for a size" };
            let message = format!("a size cannot be called `{}`", name.value);
            self.tell("bad-size-name", message, name.span.clone(), label);
            self.advise("a size is named with letters, digits and `_`, such as `rows`");
        }
    }

    /// Every case has the same sizes.
    fn same_sizes(&mut self, file: &CaseFile, names: &[&str]) {
        let strange: Vec<_> = file
            .iter()
            .map(|(name, _)| name)
            .filter(|name| !names.contains(&name.as_str()))
            .collect();
        let lacking = names.iter().filter(|name| file.get(name).is_none());
        let mut lacking: Vec<&str> = lacking.copied().collect();
        for name in strange {
            let near = nearest(name, names.iter().copied());
            // A slip of the fingers is one mistake, not an unknown and a missing size.
            lacking.retain(|missing| near != Some(*missing));
            let label = near.map_or_else(
                || "the other cases do not have it".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            let message = format!("unknown size `{}`", name.value);
            self.tell("unknown-size", message, name.span.clone(), label);
            self.advise(format!("sizes here: {}", names.join(", ")));
        }
        for name in lacking {
            let message = format!("this case lacks the size `{name}`");
            self.tell("missing-size", message, file.span.clone(), "other cases have it");
        }
    }

    pub(super) fn holdout(&mut self, file: &Spanned<Entries<Spanned<Size>>>) -> Option<Holdout> {
        let sizes = self.sizes.clone()?;
        let mut ranges = BTreeMap::new();
        let known: Vec<&str> = sizes.iter().map(String::as_str).collect();
        let mut lacking = known.clone();
        lacking.retain(|name| file.get(name).is_none());
        for (name, text) in file.iter().filter(|(name, _)| name.value != "count") {
            if sizes.contains(&name.value) {
                if let Some(range) = self.range(text) {
                    ranges.insert(name.value.clone(), range);
                }
            } else {
                let near = nearest(name, known.iter().copied());
                lacking.retain(|missing| near != Some(*missing));
                self.unknown("size", &Spanned::new(name.as_str(), name.span.clone()), &known);
            }
        }
        for name in lacking {
            let message = format!("the hold-out lacks a range for `{name}`");
            let label = format!("`{name}` is a size of every case");
            self.tell("missing-size", message, file.span.clone(), label);
        }
        let count = self.count(file)?;
        let whole = sizes.iter().all(|name| ranges.contains_key(name));
        if whole {
            self.ends(&ranges, &file.span);
        }
        whole.then_some(Holdout { ranges, count })
    }

    /// Expressions must have values at both ends of the ranges.
    fn ends(&mut self, ranges: &BTreeMap<String, (i64, i64)>, span: &Range<usize>) {
        let end = |pick: fn(&(i64, i64)) -> i64| -> BTreeMap<String, i64> {
            ranges.iter().map(|(name, range)| (name.clone(), pick(range))).collect()
        };
        for (label, sizes) in [("low", end(|range| range.0)), ("high", end(|range| range.1))] {
            let label = format!("the {label} end of the hold-out");
            self.points.push(Point { label, sizes, span: span.clone() });
        }
    }

    fn range(&mut self, text: &Spanned<Size>) -> Option<(i64, i64)> {
        let written = text.text();
        let parsed = match &text.value {
            Size::Int(value) => Some((*value, *value)),
            Size::Text(_) => written.split_once("..=").and_then(|(low, high)| {
                Some((low.trim().parse().ok()?, high.trim().parse().ok()?))
            }),
        };
        let span = text.span.clone();
        let Some((low, high)) = parsed else {
            self.tell("bad-range", format!("`{written}` is not a range"), span, "not a range");
            self.advise("a range names its first and last value: \"1..=512\"");
            return None;
        };
        if low > high {
            let message = format!("the range `{written}` is empty");
            self.tell("bad-range", message, span, format!("{low} is above {high}"));
            return None;
        }
        Some((low, high))
    }

    fn count(&mut self, file: &Spanned<Entries<Spanned<Size>>>) -> Option<u32> {
        let Some(count) = file.get("count") else {
            let label = "`count` is required here";
            self.tell("missing-key", "missing key `count`", file.span.clone(), label);
            self.advise("`count = 3` draws three cases");
            return None;
        };
        match count.value {
            Size::Int(value) if (1..=MOST_DRAWN).contains(&value) => Some(value as u32),
            _ => {
                let message = "`count` is out of range";
                let label = format!("must be 1 to {MOST_DRAWN}");
                self.tell("out-of-range", message, count.span.clone(), label);
                None
            }
        }
    }

    /// All buffers of each case together must fit half of memory: the judge holds the inputs and
    /// the reference's outputs, the worker its own copies.
    pub(super) fn memory(&mut self, args: &[(Arg, Range<usize>)]) {
        let half = u128::from(self.host.memory_bytes() / 2);
        let mut too_large = Vec::new();
        for point in &self.points {
            let needed: Option<u128> = buffers(args)
                .map(|(arg, shape)| -> Option<u128> {
                    let shape = extents(shape, &point.sizes).ok()?;
                    let element = arg.dtype.size_bytes() as u128;
                    let product = |bytes: u128, extent| bytes.saturating_mul(extent as u128);
                    Some(shape.into_iter().fold(element, product))
                })
                .try_fold(0u128, |sum, bytes| Some(sum.saturating_add(bytes?)));
            if let Some(needed) = needed.filter(|needed| *needed > half) {
                let message = format!("{} does not fit memory", point.label.replace('`', ""));
                let label = format!(
                    "its buffers take {}, and {} is half of memory",
                    human(needed),
                    human(half)
                );
                too_large.push((message, point.span.clone(), label));
            }
        }
        for (message, span, label) in too_large {
            self.tell("too-large", message, span, label);
        }
    }
}

/// The sizes that most cases have; of equals, the first.
fn model(files: &[CaseFile]) -> Option<&Entries<Spanned<i64>>> {
    let names = |file: &CaseFile| {
        let mut names: Vec<String> = file.iter().map(|(name, _)| name.value.clone()).collect();
        names.sort();
        names
    };
    let all: Vec<Vec<String>> = files.iter().map(names).collect();
    let votes = |i: usize| all.iter().filter(|other| **other == all[i]).count();
    let best = (0..files.len()).max_by_key(|i| (votes(*i), std::cmp::Reverse(*i)))?;
    Some(&files[best].value)
}

fn case(file: &CaseFile) -> Case {
    let parts: Vec<String> =
        file.iter().map(|(name, value)| format!("{}={}", name.value, value.value)).collect();
    let sizes = file.iter().map(|(name, value)| (name.value.clone(), value.value)).collect();
    Case { label: parts.join(" "), sizes }
}
