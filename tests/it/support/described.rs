//! Holds every answer that a test gets against the OpenAPI document: what is not described there must not be answered.

use http::Method;
use serde_json::Value;
use std::sync::LazyLock;

static DOCUMENT: LazyLock<Value> = LazyLock::new(mooring::web::document);

/// Panics unless the document says that this operation may give this answer. An address or a method that it does not
/// know is answered 404 or 405, or 403 to another site's page.
#[track_caller]
pub(crate) fn check(method: &Method, path: &str, status: u16, code: &str) {
    if !path.starts_with("/api/v1/") && !path.starts_with("/proxy/") {
        return;
    }
    let Some(operation) = operation(method, path) else {
        assert!(
            [403, 404, 405].contains(&status),
            "{method} {path} is served, but not described: {status} {code}"
        );
        return;
    };
    let by_provider = path.starts_with("/proxy/") && code.is_empty();
    let response = &operation["responses"][status.to_string()];
    assert!(by_provider || response.is_object(), "{method} {path} is not said to answer {status} {code}");
    if !code.is_empty() && method != Method::HEAD {
        let codes =
            &response["content"]["application/problem+json"]["schema"]["allOf"][1]["properties"]["code"];
        let codes = codes["enum"].as_array().expect("the codes of an error are listed");
        assert!(
            codes.iter().any(|known| known == code),
            "{method} {path} is not said to answer {status} {code}"
        );
    }
}

/// What the document says of a call. HEAD is what GET is, where it is not described of its own.
fn operation(method: &Method, path: &str) -> Option<&'static Value> {
    let paths = DOCUMENT["paths"].as_object().expect("there are paths");
    let mut found =
        paths.iter().filter(|(template, _)| matches(template, path)).map(|(_, operations)| operations);
    let operations = found.next()?;
    let named = operations.get(method.as_str().to_lowercase());
    named.or_else(|| operations.get("get").filter(|_| method == Method::HEAD))
}

fn matches(template: &str, path: &str) -> bool {
    if template.starts_with("/proxy/") {
        return path
            .strip_prefix("/proxy/")
            .is_some_and(|rest| rest.split_once('/').is_some_and(|(r, p)| !r.is_empty() && !p.is_empty()));
    }
    let (template, path) = (template.split('/'), path.split('/'));
    template.clone().count() == path.clone().count()
        && template
            .zip(path)
            .all(|(wanted, given)| wanted == given || (wanted.starts_with('{') && !given.is_empty()))
}
