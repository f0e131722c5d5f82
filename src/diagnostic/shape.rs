//! What a file type accepts, compiled from its JSON schema into something quick to walk.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use schemars::JsonSchema;
use serde_json::{Map, Value};

/// Index of a [`Node`].
pub(super) type Id = usize;

/// All nodes of one file type; the root is node 0.
#[derive(Debug, Default)]
pub(super) struct Shape {
    nodes: Vec<Node>,
}

/// What one place of a file accepts: a slot for each kind of TOML value.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    /// Anything at all.
    pub(super) any: bool,
    pub(super) string: Option<Text>,
    pub(super) integer: Option<Bounds>,
    /// A float (integers are accepted too).
    pub(super) number: Option<Bounds>,
    pub(super) boolean: bool,
    pub(super) list: Option<List>,
    pub(super) tables: Vec<Table>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Text {
    /// Allowed values; empty: any.
    pub(super) values: Vec<String>,
    pub(super) min_length: u64,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bounds {
    pub(super) min: Option<f64>,
    pub(super) above: Option<f64>,
    pub(super) max: Option<f64>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct List {
    /// What each element accepts; `None`: anything.
    pub(super) items: Option<Id>,
    pub(super) min_items: u64,
    pub(super) max_items: Option<u64>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    pub(super) properties: HashMap<String, Id>,
    /// Property names in the order of the type's fields.
    pub(super) names: Vec<String>,
    pub(super) required: Vec<String>,
    pub(super) rest: Rest,
}

/// What keys beyond the properties mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Rest {
    #[default]
    Anything,
    Nothing,
    Of(Id),
}

impl Shape {
    /// The shape of `T`, compiled once per process.
    pub(super) fn of<T: JsonSchema + 'static>() -> Arc<Self> {
        static KNOWN: OnceLock<Mutex<HashMap<TypeId, Arc<Shape>>>> = OnceLock::new();
        let known = KNOWN.get_or_init(Mutex::default);
        let mut known = known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let shape = known
            .entry(TypeId::of::<T>())
            .or_insert_with(|| Arc::new(Self::compile(schemars::schema_for!(T).as_value())));
        Arc::clone(shape)
    }

    pub(super) fn node(&self, id: Id) -> &Node {
        &self.nodes[id]
    }

    /// Compiles a whole schema document.
    pub(super) fn compile(schema: &Value) -> Self {
        let empty = Map::new();
        let definitions = schema.get("$defs").and_then(Value::as_object).unwrap_or(&empty);
        let known = HashMap::from([("", 0)]);
        let mut compiler = Compiler { shape: Self::default(), root: schema, definitions, known };
        compiler.node(schema);
        compiler.shape
    }
}

struct Compiler<'a> {
    shape: Shape,
    root: &'a Value,
    definitions: &'a Map<String, Value>,
    known: HashMap<&'a str, Id>,
}

impl<'a> Compiler<'a> {
    fn node(&mut self, schema: &'a Value) -> Id {
        let schema = without_null(schema);
        let target = reference(schema);
        if let Some(id) = target.and_then(|name| self.known.get(name)) {
            return *id;
        }
        let id = self.shape.nodes.len();
        self.shape.nodes.push(Node::default());
        if let Some(name) = target {
            self.known.insert(name, id);
        }
        let mut node = Node::default();
        self.fill(&mut node, schema);
        self.shape.nodes[id] = node;
        id
    }

    /// Adds what `schema` accepts to `node`: alternatives simply add up.
    fn fill(&mut self, node: &mut Node, schema: &'a Value) {
        let Value::Object(fields) = schema else {
            node.any |= *schema == Value::Bool(true);
            return;
        };
        if let Some(name) = reference(schema) {
            let target = if name.is_empty() { Some(self.root) } else { self.definitions.get(name) };
            if let Some(target) = target {
                self.fill(node, target);
            }
            return;
        }
        let alternatives = ["anyOf", "oneOf"].iter().find_map(|key| fields.get(*key)?.as_array());
        if let Some(alternatives) = alternatives {
            for schema in alternatives {
                self.fill(node, schema);
            }
        }
        for kind in kinds(fields) {
            self.fill_kind(node, kind, fields);
        }
        let says_nothing = !["anyOf", "oneOf", "type", "const", "enum"]
            .iter()
            .any(|key| fields.contains_key(*key));
        node.any |= says_nothing;
    }

    fn fill_kind(&mut self, node: &mut Node, kind: &str, fields: &'a Map<String, Value>) {
        match kind {
            "string" => add_text(node, fields),
            "integer" => node.integer = Some(bounds(fields)),
            "number" => node.number = Some(bounds(fields)),
            "boolean" => node.boolean = true,
            "array" => {
                let items = fields.get("items").map(|items| self.node(items));
                let count = |key| fields.get(key).and_then(Value::as_u64);
                let min_items = count("minItems").unwrap_or(0);
                node.list = Some(List { items, min_items, max_items: count("maxItems") });
            }
            "object" => {
                let table = self.table(fields);
                node.tables.push(table);
            }
            _ => {}
        }
    }

    fn table(&mut self, fields: &'a Map<String, Value>) -> Table {
        let mut table = Table::default();
        for (name, schema) in
            fields.get("properties").and_then(Value::as_object).into_iter().flatten()
        {
            let id = self.node(schema);
            table.properties.insert(name.clone(), id);
            table.names.push(name.clone());
        }
        let required = fields.get("required").and_then(Value::as_array).into_iter().flatten();
        table.required = required.filter_map(Value::as_str).map(str::to_owned).collect();
        table.rest = match fields.get("additionalProperties") {
            None | Some(Value::Bool(true)) => Rest::Anything,
            Some(Value::Bool(false)) => Rest::Nothing,
            Some(schema) => Rest::Of(self.node(schema)),
        };
        table
    }
}

/// The name of the definition that is meant; empty for the whole document.
fn reference(schema: &Value) -> Option<&str> {
    match schema.get("$ref")?.as_str()? {
        "#" => Some(""),
        name => name.strip_prefix("#/$defs/"),
    }
}

/// An optional value's schema is the value's: TOML has no null. Seeing through it here also keeps
/// types that hold themselves in an `Option` finite.
fn without_null(schema: &Value) -> &Value {
    let alternatives = schema.get("anyOf").and_then(Value::as_array);
    match alternatives.map(Vec::as_slice) {
        Some([one, null]) if null.get("type").is_some_and(|kind| kind == "null") => one,
        _ => schema,
    }
}

fn kinds(fields: &Map<String, Value>) -> Vec<&str> {
    match fields.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        // `const` and `enum` without a type: only strings are written that way here.
        _ if fields.contains_key("const") || fields.contains_key("enum") => vec!["string"],
        _ => Vec::new(),
    }
}

fn add_text(node: &mut Node, fields: &Map<String, Value>) {
    let listed = fields.get("enum").and_then(Value::as_array).into_iter().flatten();
    let values: Vec<String> = listed
        .chain(fields.get("const"))
        .filter_map(|value| value.as_str().map(str::to_owned))
        .collect();
    let min_length = fields.get("minLength").and_then(Value::as_u64).unwrap_or(0);
    match &mut node.string {
        // Any string is already accepted, or now is.
        Some(text) if text.values.is_empty() => {}
        Some(text) if values.is_empty() => text.values.clear(),
        Some(text) => text.values.extend(values),
        None => node.string = Some(Text { values, min_length }),
    }
}

fn bounds(fields: &Map<String, Value>) -> Bounds {
    let number = |key| fields.get(key).and_then(Value::as_f64);
    let widest = match fields.get("format").and_then(Value::as_str) {
        Some("uint32") => Some((0.0, f64::from(u32::MAX))),
        Some("int32") => Some((f64::from(i32::MIN), f64::from(i32::MAX))),
        Some("uint" | "uint64") => Some((0.0, i64::MAX as f64)),
        _ => None,
    };
    Bounds {
        min: number("minimum").or(widest.map(|(min, _)| min)),
        above: number("exclusiveMinimum"),
        max: number("maximum").or(widest.map(|(_, max)| max)),
    }
}

impl Node {
    /// `a string or a list of strings`.
    pub(super) fn describe(&self, shape: &Shape) -> String {
        let mut words = Vec::new();
        if self.string.is_some() {
            words.push("a string".to_owned());
        }
        if self.number.is_some() {
            words.push("a number".to_owned());
        } else if self.integer.is_some() {
            words.push("an integer".to_owned());
        }
        if self.boolean {
            words.push("a boolean".to_owned());
        }
        if let Some(list) = &self.list {
            words.push(match list.items.map(|id| shape.node(id).plural()) {
                Some(items) if !items.is_empty() => format!("a list of {items}"),
                _ => "a list".to_owned(),
            });
        }
        if !self.tables.is_empty() {
            words.push("a table".to_owned());
        }
        join(&words)
    }

    fn plural(&self) -> String {
        let words: Vec<String> = [
            (self.string.is_some(), "strings"),
            (self.number.is_some(), "numbers"),
            (self.integer.is_some() && self.number.is_none(), "integers"),
            (self.boolean, "booleans"),
            (self.list.is_some(), "lists"),
            (!self.tables.is_empty(), "tables"),
        ]
        .iter()
        .filter(|(there, _)| *there)
        .map(|(_, word)| (*word).to_owned())
        .collect();
        join(&words)
    }
}

fn join(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} or {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Tree {
        label: Option<String>,
        children: Vec<Self>,
        parent: Option<Box<Self>>,
        by_name: BTreeMap<String, f64>,
        count: u32,
    }

    #[test]
    fn recursive_types_compile_and_describe_themselves() {
        let shape = Shape::of::<Tree>();
        let root = &shape.node(0).tables[0];
        let describe = |name: &str| shape.node(root.properties[name]).describe(&shape);
        assert_eq!(describe("label"), "a string");
        assert_eq!(describe("children"), "a list of tables");
        assert_eq!(describe("by_name"), "a table");
        assert_eq!(describe("count"), "an integer");
        assert_eq!(root.required, ["children", "by_name", "count"]);
        assert_eq!(describe("parent"), "a table");
        assert_eq!(root.names, ["label", "children", "parent", "by_name", "count"]);
    }
}
