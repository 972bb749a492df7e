//! The JSON Schema of scenario files, which is also the table of their defaults.
//!
//! It is written by hand, since the reader knows more than a schema can say; tests hold the two against each other.

use serde_json::Value;

use crate::document::{Kind, Node, Place};

/// The JSON Schema (2020-12) of scenario files, as editors use it.
pub const SCHEMA: &str = include_str!("../../scenarios/schema.json");

/// The schema, parsed.
#[derive(Debug)]
pub(super) struct Schema(Value);

impl Schema {
    pub(super) fn new() -> Self {
        Self(serde_json::from_str(SCHEMA).expect("the schema is a constant, and JSON"))
    }

    /// A valid scenario with the defaults of all its maps, the keys of each in the order of the schema. What the schema
    /// describes by no name, which is `x-…`, is left out.
    pub(super) fn filled(&self, scenario: &Node) -> Node {
        self.fill(scenario, &self.0)
    }

    fn fill(&self, node: &Node, schema: &Value) -> Node {
        let schema = self.meant(node, schema);
        let kind = match &node.kind {
            Kind::Map(entries) => match schema["properties"].as_object() {
                Some(properties) => {
                    let own = |key: &str| entries.iter().find(|(name, _)| name.text == key);
                    let fill = |(key, schema): (&String, &Value)| match own(key) {
                        Some((name, value)) => Some((name.clone(), self.fill(value, schema))),
                        None => {
                            let usual = node_of(schema.get("default")?);
                            Some((node_of(&key.as_str().into()), self.fill(&usual, schema)))
                        }
                    };
                    Kind::Map(properties.iter().filter_map(fill).collect())
                }
                // A map whose keys are the file's own.
                None => {
                    let schema = &schema["additionalProperties"];
                    let fill =
                        |(name, value): &(Node, Node)| (name.clone(), self.fill(value, schema));
                    Kind::Map(entries.iter().map(fill).collect())
                }
            },
            Kind::Seq(items) => {
                let fill = |item| self.fill(item, &schema["items"]);
                Kind::Seq(items.iter().map(fill).collect())
            }
            _ => return node.clone(),
        };
        Node {
            place: node.place,
            kind,
            text: node.text.clone(),
        }
    }

    /// What describes `node`: behind references, and of several the one that does.
    fn meant<'s>(&'s self, node: &Node, schema: &'s Value) -> &'s Value {
        let schema = self.behind(schema);
        let several = schema["oneOf"].as_array().or(schema["anyOf"].as_array());
        let mut several = several.into_iter().flatten();
        match several.find(|one| describes(node, self.behind(one))) {
            Some(one) if schema.get("properties").is_none() => self.meant(node, one),
            _ => schema,
        }
    }

    /// What a reference leads to.
    fn behind<'s>(&'s self, schema: &'s Value) -> &'s Value {
        let place = schema["$ref"].as_str();
        let place = place.and_then(|place| place.strip_prefix('#'));
        match place.and_then(|place| self.0.pointer(place)) {
            Some(schema) => self.behind(schema),
            None => schema,
        }
    }
}

/// Whether `node`, which is valid, is what `schema` describes: since no map may have keys of another, the keys that it
/// must have, those that it may have and the values that it must have tell.
fn describes(node: &Node, schema: &Value) -> bool {
    let Some(properties) = schema["properties"].as_object() else {
        let is = |kind: &str| schema["type"] == kind;
        return match node.kind {
            Kind::Map(_) => is("object"),
            Kind::Seq(_) => is("array"),
            _ => !is("object") && !is("array"),
        };
    };
    let Kind::Map(entries) = &node.kind else {
        return false;
    };
    let fits = |(key, value): &(Node, Node)| {
        let wanted = properties.get(&key.text).map(|own| own.get("const"));
        wanted.is_some_and(|wanted| wanted.is_none_or(|wanted| is_written(value, wanted)))
    };
    let required = schema["required"].as_array();
    let mut required = required.into_iter().flatten().filter_map(Value::as_str);
    entries.iter().all(fits) && required.all(|key| entries.iter().any(|(own, _)| own.text == key))
}

/// Whether `node` is this value.
fn is_written(node: &Node, value: &Value) -> bool {
    match (&node.kind, value) {
        (Kind::Bool(own), Value::Bool(other)) => own == other,
        (Kind::Str, Value::String(other)) => node.text == *other,
        (Kind::Int(own), Value::Number(other)) => own.to_string() == other.to_string(),
        _ => false,
    }
}

/// A JSON value as a node that stands nowhere.
pub(super) fn node_of(value: &Value) -> Node {
    let (kind, text) = match value {
        Value::Null => (Kind::Null, String::new()),
        Value::Bool(flag) => (Kind::Bool(*flag), flag.to_string()),
        Value::Number(number) => {
            let text = number.to_string();
            let whole = text.parse().map(Kind::Int);
            let kind = whole.unwrap_or(Kind::Float(number.as_f64().unwrap_or(f64::NAN)));
            (kind, text)
        }
        Value::String(text) => (Kind::Str, text.clone()),
        Value::Array(items) => (
            Kind::Seq(items.iter().map(node_of).collect()),
            String::new(),
        ),
        Value::Object(entries) => {
            let entry =
                |(key, value): (&String, &Value)| (node_of(&key.as_str().into()), node_of(value));
            (
                Kind::Map(entries.iter().map(entry).collect()),
                String::new(),
            )
        }
    };
    Node {
        place: Place::default(),
        kind,
        text,
    }
}
