//! Values that a user may write in more than one way.

use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{
    Deserialize, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};

use super::{Direction, MetricScale, MetricStream, TimeUnit};
use crate::diagnostic::Spanned;

/// One value, or a list of them.
#[derive(Debug, Clone, PartialEq)]
pub enum OneOrMany<T> {
    /// `"a"`.
    One(Spanned<T>),
    /// `["a", "b"]`.
    Many(Spanned<Vec<Spanned<T>>>),
}

impl<T> OneOrMany<T> {
    /// The values, one or many.
    pub fn as_slice(&self) -> &[Spanned<T>] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }

    /// Where all of it was written.
    pub fn span(&self) -> std::ops::Range<usize> {
        match self {
            Self::One(one) => one.span.clone(),
            Self::Many(many) => many.span.clone(),
        }
    }
}

enum Unplaced<T> {
    One(T),
    Many(Vec<Spanned<T>>),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Unplaced<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = Unplaced<T>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("one value or a list")
            }
            fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
                T::deserialize(value.into_deserializer()).map(Unplaced::One)
            }
            fn visit_string<E: Error>(self, value: String) -> Result<Self::Value, E> {
                T::deserialize(value.into_deserializer()).map(Unplaced::One)
            }
            fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
                T::deserialize(value.into_deserializer()).map(Unplaced::One)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut many = Vec::with_capacity(list.size_hint().unwrap_or(0));
                while let Some(item) = list.next_element()? {
                    many.push(item);
                }
                Ok(Unplaced::Many(many))
            }
        }
        deserializer.deserialize_any(Either(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, span } = Spanned::deserialize(deserializer)?;
        Ok(match value {
            Unplaced::One(one) => Self::One(Spanned::new(one, span)),
            Unplaced::Many(many) => Self::Many(Spanned::new(many, span)),
        })
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("OneOrMany_{}", T::schema_name()).into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}

/// A string, a number or a boolean; kept as the text it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar(pub String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Scalar;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string, a number or a boolean")
            }
            fn visit_str<E: Error>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar(value.to_owned()))
            }
            fn visit_bool<E: Error>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }
            fn visit_i64<E: Error>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }
            fn visit_f64<E: Error>(self, value: f64) -> Result<Scalar, E> {
                // As TOML writes it: 1.0 must not become 1 in a definition.
                Ok(Scalar(format!("{value:?}")))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

impl JsonSchema for Scalar {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Scalar".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

/// The headline number of a measuring stage by name, or how a command's number is read.
#[derive(Debug, Clone)]
pub enum MetricFile {
    /// `"median_us"`.
    Named(String),
    /// `{ name = "score", regex = "score: ([0-9.]+)" }`.
    Printed(Box<PrintedMetric>),
}

/// The headline numbers that measuring stages have.
pub const BENCH_METRICS: [&str; 4] = ["median_us", "mean_us", "min_us", "p90_us"];

/// How a command's number is found in what it prints.
#[derive(Debug, Clone, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrintedMetric {
    /// What the number is called in results and in `when`.
    #[schemars(length(min = 1))]
    pub name: Spanned<String>,
    /// The last match counts: its first group, or all of it without one. A group named `unit` is
    /// the unit that a time is printed in.
    pub regex: Option<Spanned<String>>,
    /// An RFC 9535 path into the last JSON document printed, such as `$.score`.
    pub json: Option<Spanned<String>>,
    /// Where the number is printed: `stdout`, when not given, or `stderr`.
    pub stream: Option<MetricStream>,
    /// What the number is given in; a time that is printed in another unit is converted.
    pub unit: Option<TimeUnit>,
    /// Which way is better; lower when not given.
    pub better: Option<Direction>,
    /// How two of them are compared; by their ratio when not given.
    pub scale: Option<MetricScale>,
    /// True: it is the same each time, so that two runs of each side decide. When not given, that
    /// is seen from the runs.
    pub deterministic: Option<bool>,
}

impl<'de> Deserialize<'de> for MetricFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = MetricFile;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string or a table")
            }
            fn visit_str<E: Error>(self, value: &str) -> Result<MetricFile, E> {
                Ok(MetricFile::Named(value.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<MetricFile, A::Error> {
                let table = PrintedMetric::deserialize(MapAccessDeserializer::new(map))?;
                Ok(MetricFile::Printed(Box::new(table)))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for MetricFile {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Metric".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<PrintedMetric>();
        json_schema!({ "anyOf": [{ "type": "string", "enum": BENCH_METRICS }, table] })
    }
}
