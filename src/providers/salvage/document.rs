//! JSON that is whole: the object that holds the tokens, wherever in the document it is.

use super::{BROKE_OFF, scan, text_of};
use serde_json::{Map, Value};
use std::collections::VecDeque;

/// The object with the access token, or at least the refresh token, that is nearest to the root. A refresh
/// token that stands elsewhere in the document is put beside the access token.
pub(super) fn read(text: &str) -> Option<Map<String, Value>> {
    let text = text.trim_end_matches(char::from(BROKE_OFF)).trim_end();
    let objects = objects(serde_json::from_str(text).ok()?);
    let with = |key| objects.iter().position(|o| text_of(o, key).is_some());
    let at = with("access_token").or_else(|| with("refresh_token"))?;
    let mut fields = objects[at].clone();
    if text_of(&fields, "refresh_token").is_none() {
        let elsewhere = with("refresh_token").and_then(|n| objects[n].get("refresh_token").cloned());
        // Of a key that stands twice the document has only the last value, and that may be empty.
        let twice = || scan::last_in_json(text, "refresh_token").map(Value::from);
        if let Some(token) = elsewhere.or_else(twice) {
            fields.insert("refresh_token".into(), token);
        }
    }
    Some(fields)
}

/// Every object of a document, the outer before the inner. A string that holds JSON counts as that JSON:
/// gateways wrap bodies so.
fn objects(root: Value) -> Vec<Map<String, Value>> {
    let mut found = vec![];
    let mut waiting = VecDeque::from([root]);
    while let Some(value) = waiting.pop_front() {
        match value {
            Value::Object(fields) => {
                waiting.extend(fields.values().filter(|v| !v.is_number()).cloned());
                found.push(fields);
            }
            Value::Array(items) => waiting.extend(items),
            Value::String(text) if text.trim_start().starts_with(['{', '[']) => {
                waiting.extend(serde_json::from_str::<Value>(&text));
            }
            _ => {}
        }
    }
    found
}
