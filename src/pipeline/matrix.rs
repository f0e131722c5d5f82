//! `matrix = { … }`: the cross product of its dimensions, in file order, the last one fastest.

use std::ops::Range;

use super::file::{Axis, MatrixFile};
use super::findings::Findings;
use super::values::{OneOrMany, Scalar};
use crate::diagnostic::{Entries, Spanned};

/// More nodes than this is a slip.
const MOST_POINTS: usize = 10_000;

/// One combination of values.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Point {
    /// `define.BLOCK=64,vars.x=1`; empty without a matrix.
    pub(super) label: String,
    /// Each dimension's key and value, as `${matrix.KEY}` sees them.
    pub(super) values: Vec<(String, String)>,
    /// Flags to add.
    pub(super) flags: Vec<String>,
    /// Replaces the stage's repeats.
    pub(super) repeats: Option<Spanned<Vec<u32>>>,
}

/// One dimension.
struct Dimension {
    key: String,
    span: Range<usize>,
    values: Vec<Value>,
}

struct Value {
    shown: String,
    span: Range<usize>,
    flags: Vec<String>,
    repeats: Option<Vec<u32>>,
}

/// Every combination; a single empty one when there is no matrix.
pub(super) fn points(matrix: Option<&Spanned<MatrixFile>>, findings: &mut Findings) -> Vec<Point> {
    let Some(matrix) = matrix else {
        return vec![Point::default()];
    };
    let dimensions = dimensions(matrix);
    // One that was refused may have been all there was.
    if dimensions.is_empty() && !findings.any_in_table(&matrix.span) {
        let help = "such as matrix = { define.BLOCK = [64, 128] }";
        findings.at("empty", "`matrix` is empty", &matrix.span, "no dimension").help(help);
    }
    let is_good = dimensions.iter().filter(|dimension| !check(dimension, findings)).count() == 0;
    let count = dimensions.iter().try_fold(1, |count: usize, dimension| {
        count.checked_mul(dimension.values.len()).filter(|count| *count <= MOST_POINTS)
    });
    if count.is_none() {
        let label = format!("more than {MOST_POINTS} combinations");
        findings
            .at("too-many", "the matrix is too large", &matrix.span, label)
            .help("split the stage, or try fewer values");
    }
    if count.is_none() || !is_good {
        return vec![Point::default()];
    }
    cross(&dimensions)
}

fn cross(dimensions: &[Dimension]) -> Vec<Point> {
    let mut points = vec![Point::default()];
    for dimension in dimensions {
        let extended = points.iter().flat_map(|point| {
            dimension.values.iter().map(|value| {
                let mut point = point.clone();
                if !point.label.is_empty() {
                    point.label.push(',');
                }
                point.label.extend([dimension.key.as_str(), "=", &value.shown]);
                point.values.push((dimension.key.clone(), value.shown.clone()));
                point.flags.extend_from_slice(&value.flags);
                if let Some(repeats) = &value.repeats {
                    point.repeats = Some(Spanned::new(repeats.clone(), value.span.clone()));
                }
                point
            })
        });
        points = extended.collect();
    }
    points
}

/// Tells what is wrong with a dimension; true when nothing is.
fn check(dimension: &Dimension, findings: &mut Findings) -> bool {
    let before = findings.list.len();
    if dimension.values.is_empty() {
        let message = format!("`matrix.{}` has no values", dimension.key);
        findings
            .at("empty", message, &dimension.span, "an empty list")
            .help("give at least one value, or remove the dimension");
    }
    for (index, value) in dimension.values.iter().enumerate() {
        let first = dimension.values[..index].iter().find(|other| other.shown == value.shown);
        if let Some(first) = first {
            let message = format!("`{}` is twice in `matrix.{}`", value.shown, dimension.key);
            findings
                .at("duplicate-value", message, &value.span, "again here")
                .and(&first.span, "first here");
        }
    }
    findings.list.len() == before
}

/// The dimensions in file order.
fn dimensions(matrix: &MatrixFile) -> Vec<Dimension> {
    let mut dimensions = scalars("define", &matrix.define);
    dimensions.extend(scalars("vars", &matrix.vars));
    if let Some(cc) = &matrix.cc {
        dimensions.push(dimension("cc", cc, |value| plain(&value.value, &value.span)));
    }
    if let Some(flags) = &matrix.flags {
        dimensions.push(dimension("flags", flags, flag_value));
    }
    if let Some(repeats) = &matrix.repeats {
        dimensions.push(dimension("repeats", repeats, repeats_value));
    }
    dimensions.sort_by_key(|dimension| dimension.span.start);
    dimensions
}

fn scalars(kind: &str, entries: &Entries<Axis<Spanned<Scalar>>>) -> Vec<Dimension> {
    let entries = entries.iter();
    entries
        .map(|(name, axis)| {
            dimension(&format!("{kind}.{}", name.value), axis, |value| plain(&value.0, &value.span))
        })
        .collect()
}

fn dimension<T>(key: &str, axis: &Axis<T>, value: impl Fn(&T) -> Value) -> Dimension {
    let values = axis.iter().map(value).collect();
    Dimension { key: key.to_owned(), span: axis.span.clone(), values }
}

fn plain(shown: &str, span: &Range<usize>) -> Value {
    Value { shown: shown.to_owned(), span: span.clone(), flags: Vec::new(), repeats: None }
}

fn flag_value(value: &OneOrMany<String>) -> Value {
    let flags = value.as_slice().iter().map(|flag| flag.value.clone());
    let flags: Vec<String> = flags.filter(|flag| !flag.is_empty()).collect();
    Value { shown: flags.join(" "), span: value.span(), flags, repeats: None }
}

fn repeats_value(value: &OneOrMany<u32>) -> Value {
    let looks: Vec<u32> = value.as_slice().iter().map(|look| look.value).collect();
    let shown: Vec<String> = looks.iter().map(u32::to_string).collect();
    Value { shown: shown.join("/"), span: value.span(), flags: Vec::new(), repeats: Some(looks) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::file::StageFile;
    use super::*;
    use crate::diagnostic::{Source, document};

    fn read(text: &str) -> (Vec<Point>, Vec<String>) {
        let source = Arc::new(Source::new("a.toml", text));
        let mut findings = Findings::default();
        let document =
            document::read_overlaid::<StageFile>(&source, &mut findings.map, |_| Vec::new());
        assert!(document.diagnostics.is_empty(), "{:?}", document.diagnostics);
        let stage = document.value.expect("a stage");
        let points = points(stage.matrix.as_ref(), &mut findings);
        (points, findings.list.into_iter().map(|found| found.message).collect())
    }

    #[test]
    fn the_cross_product_is_in_file_order_and_the_last_dimension_is_fastest() {
        let (points, found) = read(
            "matrix = { vars.x = [2, 1], define.B = [64, 128], flags = ['-O2', ['-O3', '-g']] }",
        );
        assert!(found.is_empty(), "{found:?}");
        let labels: Vec<_> = points.iter().map(|point| point.label.as_str()).collect();
        assert_eq!(
            labels,
            [
                "vars.x=2,define.B=64,flags=-O2",
                "vars.x=2,define.B=64,flags=-O3 -g",
                "vars.x=2,define.B=128,flags=-O2",
                "vars.x=2,define.B=128,flags=-O3 -g",
                "vars.x=1,define.B=64,flags=-O2",
                "vars.x=1,define.B=64,flags=-O3 -g",
                "vars.x=1,define.B=128,flags=-O2",
                "vars.x=1,define.B=128,flags=-O3 -g",
            ]
        );
        assert_eq!(points[1].flags, ["-O3", "-g"]);
        assert_eq!(points[1].values[0], ("vars.x".to_owned(), "2".to_owned()));
    }

    #[test]
    fn repeats_are_numbers_or_looks() {
        let (points, _) = read("matrix.repeats = [8, [8, 16]]");
        let labels: Vec<_> = points.iter().map(|point| point.label.as_str()).collect();
        assert_eq!(labels, ["repeats=8", "repeats=8/16"]);
        assert_eq!(points[1].repeats.as_ref().map(|looks| looks.value.clone()), Some(vec![8, 16]));
    }

    #[test]
    fn no_matrix_is_one_point_and_bad_ones_are_told() {
        assert_eq!(read(""), (vec![Point::default()], vec![]));
        for (text, want) in [
            ("matrix = {}", "`matrix` is empty"),
            ("matrix.define.A = []", "`matrix.define.A` has no values"),
            ("matrix.define.A = [1, 2, 1]", "`1` is twice in `matrix.define.A`"),
        ] {
            assert_eq!(read(text).1, [want], "{text}");
        }
        let many: Vec<String> = (0..200).map(|n| n.to_string()).collect();
        let many = many.join(",");
        let (_, found) = read(&format!("matrix.define = {{ A = [{many}], B = [{many}] }}"));
        assert_eq!(found, ["the matrix is too large"]);
    }
}
