//! A TOML file read into its type, with every mistake reported at its own place.
//!
//! Three sieves: the parser, which goes on after a syntax error; the type's JSON schema, walked
//! over the parsed table; and serde. What does not fit is reported and left out, so that the
//! sieves behind it, and the checks of the module that reads, still see the rest.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use toml::de::DeTable;

use super::overlay::{merge, shift};
use super::shape::Shape;
use super::syntax::parse;
use super::walk::{Fits, Walker};
use super::{Diagnostic, Source, SourceMap};

/// What reading found.
#[derive(Debug)]
pub struct Document<T> {
    /// The file without its mistakes; `None` when what is left is not enough for the type.
    pub value: Option<T>,
    /// All mistakes, in file order.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads `source` as a `T`.
pub fn read<T: DeserializeOwned + JsonSchema + 'static>(source: &Arc<Source>) -> Document<T> {
    read_overlaid(source, &mut SourceMap::default(), |_| Vec::new())
}

/// Reads `source` with the values of other TOML documents put over its own; `overlays` chooses
/// them in view of what was parsed. All of them are added to `map`, and spans in the value are
/// spans of `map`.
pub fn read_overlaid<T: DeserializeOwned + JsonSchema + 'static>(
    source: &Arc<Source>,
    map: &mut SourceMap,
    overlays: impl FnOnce(&DeTable<'_>) -> Vec<Arc<Source>>,
) -> Document<T> {
    let mut found = Vec::new();
    let base = map.add(source);
    let Some(mut table) = parse(source, &mut found) else {
        map.sort(&mut found);
        return Document { value: None, diagnostics: found };
    };
    let over = overlays(&table);
    if base > 0 {
        shift(&mut table, base);
    }
    let table = overlaid(table, &over, map, &mut found);
    let (value, found) = fit(table, map, found);
    Document { value, diagnostics: found }
}

fn overlaid<'a>(
    mut table: DeTable<'a>,
    over: &'a [Arc<Source>],
    map: &mut SourceMap,
    found: &mut Vec<Diagnostic>,
) -> DeTable<'a> {
    for overlay in over {
        let base = map.add(overlay);
        if let Some(mut above) = parse(overlay, found) {
            shift(&mut above, base);
            merge(&mut table, above);
        }
    }
    table
}

/// Makes the type of what fits it, and tells the rest.
fn fit<T: DeserializeOwned + JsonSchema + 'static>(
    mut table: DeTable<'_>,
    map: &SourceMap,
    found: Vec<Diagnostic>,
) -> (Option<T>, Vec<Diagnostic>) {
    let shape = Shape::of::<T>();
    let mut walker = Walker { shape: &shape, map, found };
    let fits = walker.root(&mut table);
    let mut found = walker.found;
    let value = match fits {
        Fits::Yes => deserialize(table, map, &mut found),
        // What is required and missing has been told; the type may still do without it.
        Fits::No => deserialize(table, map, &mut Vec::new()),
    };
    map.sort(&mut found);
    (value, found)
}

fn deserialize<T: DeserializeOwned>(
    table: DeTable<'_>,
    map: &SourceMap,
    found: &mut Vec<Diagnostic>,
) -> Option<T> {
    let document = toml::de::Deserializer::from(toml::Spanned::new(0..0, table));
    T::deserialize(document)
        .map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            let diagnostic = Diagnostic::new("invalid-value", error.message().trim());
            found.push(diagnostic.at_span(map, span, ""));
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::super::{Entries, Spanned};
    use super::*;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "some fields are only read into")]
    struct File {
        name: String,
        #[serde(default)]
        needs: Vec<Spanned<String>>,
        retries: Option<u32>,
        limit: Option<f64>,
        better: Option<Better>,
        #[serde(default)]
        stages: Entries<Stage>,
        fill: Option<Fill>,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read into")]
    struct Stage {
        run: String,
        #[serde(default)]
        env: BTreeMap<String, String>,
    }

    /// Direction.
    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    enum Better {
        /// Down.
        Lower,
        /// Up.
        Higher,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    #[expect(dead_code, reason = "only read into")]
    enum Fill {
        Zeros,
        Normal { mean: f64 },
        Uniform { low: f64 },
    }

    fn source(text: &str) -> Arc<Source> {
        Arc::new(Source::new("a.toml", text))
    }

    /// `(what is underlined, message, label)` of each mistake.
    fn mistakes(text: &str) -> Vec<(String, String, String)> {
        let document = read::<File>(&source(text));
        let told = document.diagnostics.iter();
        told.map(|d| {
            let label = &d.labels[0];
            (text[label.span.clone()].to_owned(), d.message.clone(), label.text.clone())
        })
        .collect()
    }

    #[test]
    fn each_mistake_is_found_at_its_own_place() {
        for (text, under, message, label) in [
            ("nmae = 1\nname = 'a'", "nmae", "unknown key `nmae`", "did you mean `name`?"),
            (
                "name = 'a'\nneeds = 3",
                "3",
                "wrong type for `needs`",
                "expected a list of strings, found an integer",
            ),
            (
                "name = 'a'\nneeds = ['a', 2]",
                "2",
                "wrong type for `needs`",
                "expected a string, found an integer",
            ),
            ("name = 'a'\nretries = -1", "-1", "`retries` is out of range", "must be at least 0"),
            (
                "name = 'a'\nretries = 5_000_000_000",
                "5_000_000_000",
                "`retries` is out of range",
                "must be at most 4294967295",
            ),
            (
                "name = 'a'\nretries = 99999999999999999999",
                "99999999999999999999",
                "`retries` is out of range",
                "too large, or not a number",
            ),
            (
                "name = 'a'\nlimit = 'x'",
                "'x'",
                "wrong type for `limit`",
                "expected a number, found a string",
            ),
            (
                "name = 'a'\nlimit = nan",
                "nan",
                "`limit` is out of range",
                "too large, or not a number",
            ),
            (
                "name = 'a'\nbetter = 'hihger'",
                "'hihger'",
                "unknown value `hihger` for `better`",
                "did you mean `higher`?",
            ),
            (
                "name = 'a'\n[stages.x]\nrnu = 1\nrun = ''",
                "rnu",
                "unknown key `rnu`",
                "did you mean `run`?",
            ),
            ("name = 'a'\n[stages.x]", "[stages.x]", "missing key `run`", "`run` is required here"),
            (
                "name = 'a'\nstages.x.run = 'a'\nstages.x.env.A = 1",
                "1",
                "wrong type for `A`",
                "expected a string, found an integer",
            ),
            (
                "name = 'a'\nfill = { nromal = {} }",
                "nromal",
                "unknown key `nromal`",
                "did you mean `normal`?",
            ),
            (
                "name = 'a'\nfill = { normal = {} }",
                "{}",
                "missing key `mean`",
                "`mean` is required here",
            ),
            (
                "name = 'a'\nfill = 'ones'",
                "'ones'",
                "unknown value `ones` for `fill`",
                "not one of its values",
            ),
            ("name = 'a'\nname = 'b'", "name", "duplicate key `name`", "given again here"),
            ("", "", "missing key `name`", "`name` is required here"),
        ] {
            let found = mistakes(text);
            let want = (under.to_owned(), message.to_owned(), label.to_owned());
            assert_eq!(found, [want], "{text}");
        }
    }

    #[test]
    fn good_files_have_values_with_places() {
        let document = read::<File>(&source(
            "name = 'a'\nneeds = ['x']\nfill = { normal = { mean = 1 } }\n[stages.z]\nrun = 'b'\n[stages.c]\nrun = 'd'\n",
        ));
        assert!(document.diagnostics.is_empty(), "{:?}", document.diagnostics);
        let file = document.value.expect("a good file");
        assert_eq!(file.needs[0].span, 20..23);
        let names: Vec<_> = file.stages.iter().map(|(name, _)| name.value.as_str()).collect();
        assert_eq!(names, ["z", "c"], "file order");
    }

    #[test]
    fn what_is_wrong_is_left_out_and_the_rest_is_there() {
        let document = read::<File>(&source("name = 'a'\nretries = 'x'\nlimit = 2\nxyz = 1\n"));
        assert_eq!(document.diagnostics.len(), 2);
        let file = document.value.expect("still enough");
        assert_eq!((file.retries, file.limit), (None, Some(2.0)));
        assert!(read::<File>(&source("name = 1")).value.is_none());
    }

    #[test]
    fn overlays_replace_values_and_are_blamed_for_their_own() {
        let main = source("name = 'a'\nretries = 1\n[stages.x]\nrun = 'b'\n");
        let over = ["retries = 7", "stages.x.run = 'c'", "stages.x.rnu = 3"]
            .map(|text| Arc::new(Source::new("--set", text)));
        let mut map = SourceMap::default();
        let document = read_overlaid::<File>(&main, &mut map, |_| over.into());
        let file = document.value.expect("enough");
        assert_eq!(file.retries, Some(7));
        assert_eq!(file.stages.get("x").map(|stage| stage.run.as_str()), Some("c"));
        let [found] = document.diagnostics.as_slice() else { panic!("{:?}", document.diagnostics) };
        assert_eq!(found.location().expect("a place").path.to_str(), Some("--set"));
        assert_eq!(found.labels[0].span, 9..12);
    }

    #[test]
    fn overlays_only_add_to_what_is_there() {
        let main = source("name = 'a'\n[stages.x]\nrun = 'b'\n");
        let over = [Arc::new(Source::new("--set", "retries = 7"))];
        let document = read_overlaid::<File>(&main, &mut SourceMap::default(), |_| over.into());
        assert!(document.diagnostics.is_empty(), "{:?}", document.diagnostics);
    }
}
