//! A JSON object that keeps the order of its keys, because answers should look like GitLab's own.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

/// An ordered JSON object, built by chaining.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object(Vec<(&'static str, Node)>);

#[derive(Clone, Debug)]
enum Node {
    Value(Value),
    Object(Object),
    List(Vec<Object>),
}

impl Object {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a key with a plain value; `None` becomes null.
    pub(crate) fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.0.push((key, Node::Value(value.into())));
        self
    }

    /// Adds a key only when `condition` holds.
    pub(crate) fn with_if(self, condition: bool, key: &'static str, value: impl Into<Value>) -> Self {
        if condition { self.with(key, value) } else { self }
    }

    /// Adds a nested object, or null.
    pub(crate) fn nest(mut self, key: &'static str, object: impl Into<Option<Object>>) -> Self {
        self.0.push((key, object.into().map_or(Node::Value(Value::Null), Node::Object)));
        self
    }

    /// Adds a list of objects.
    pub(crate) fn list(mut self, key: &'static str, objects: Vec<Object>) -> Self {
        self.0.push((key, Node::List(objects)));
        self
    }

    /// Adds null under each of the keys.
    pub(crate) fn nulls(self, keys: &[&'static str]) -> Self {
        keys.iter().fold(self, |object, key| object.with(key, Value::Null))
    }

    /// Adds the same value under each of the keys.
    pub(crate) fn each(self, keys: &[&'static str], value: &Value) -> Self {
        keys.iter().fold(self, |object, key| object.with(key, value.clone()))
    }

    pub(crate) fn text(&self) -> String {
        serde_json::to_string(self).expect("keys are text and values are JSON already")
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, node) in &self.0 {
            match node {
                Node::Value(value) => map.serialize_entry(key, value)?,
                Node::Object(object) => map.serialize_entry(key, object)?,
                Node::List(objects) => map.serialize_entry(key, objects)?,
            }
        }
        map.end()
    }
}
