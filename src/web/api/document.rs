//! The OpenAPI 3.1 document: what the handlers say of themselves, with every code that they may answer, examples, and
//! the paths that are no handlers of the API: the proxy and the process's health.

use super::codes::{self, Code};
use crate::web::error::Details;
use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use utoipa::OpenApi;

/// Examples by the name of their schema.
const EXAMPLES: &str = include_str!("examples.json");
/// The methods of the proxy.
const PROXIED: [&str; 7] = ["get", "head", "options", "post", "put", "patch", "delete"];
const CONNECTION: &str = "#/components/schemas/Connection";
const PROBLEM: &str = "application/problem+json";
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Mooring",
        description = "A self-hosted OAuth 2.0 connection broker. Errors are RFC 9457 problem details with a stable `code`, \
                       and each answer lists those it may have. `{ref}` is a connection's id or, within the key's \
                       tenant, its name. Every answer carries `X-Request-Id`; a method that an address does not take is \
                       answered 405 `method_not_allowed` with `Allow`."
    ),
    components(schemas(Details)),
    tags(
        (name = "connections", description = "Connections to GitLab, and their tokens"),
        (name = "connect sessions", description = "Let a user of your product connect an account"),
        (name = "proxy", description = "Requests to GitLab, with the credential attached on the way"),
        (name = "catalog", description = "What can be connected, and for what"),
        (name = "administration", description = "API keys, webhook endpoints and the audit log"),
        (name = "process", description = "Whether the process lives and can work, and this document")
    )
)]
pub(super) struct Document;

/// Completes what the handlers say of themselves.
pub(super) fn complete(described: &utoipa::openapi::OpenApi) -> Value {
    let mut document = serde_json::to_value(described).expect("the document is JSON");
    document["components"]["securitySchemes"] = json!({"api_key": {
        "type": "http", "scheme": "bearer", "description": "An API key, `moor_…`. The proxy takes it as `PRIVATE-TOKEN` \
        and as the password of Basic too."}});
    document["components"]["headers"] = headers();
    document["components"]["responses"] = json!({"MethodNotAllowed": not_allowed()});
    let paths = document["paths"].as_object_mut().expect("there are paths");
    paths.extend(process());
    paths.insert("/proxy/{ref}/{path}".to_owned(), proxy());
    for operation in paths.values_mut().flat_map(operations) {
        describe(operation);
    }
    document["components"]["examples"] = codes::all().into_iter().map(example).collect::<Map<_, _>>().into();
    let schemas = document["components"]["schemas"].as_object_mut().expect("there are schemas");
    refer_to_items(schemas);
    add_examples(schemas);
    document
}

fn operations(path: &mut Value) -> impl Iterator<Item = &mut Value> {
    let parts = path.as_object_mut().expect("a path is an object").iter_mut();
    parts.filter(|(name, _)| METHODS.contains(&name.as_str())).map(|(_, operation)| operation)
}

fn headers() -> Value {
    json!({
        "RequestId": {"description": "Names this request in the operator's log", "required": true,
                      "schema": {"type": "string", "minLength": 16}},
        "Error": {"description": "The problem's `code`: on every error of Mooring's own, and on no other", "required": true,
                  "schema": {"type": "string", "pattern": "^[a-z][a-z0-9_]*$"}},
        "RetryAfter": {"description": "Seconds to wait before asking again", "schema": {"type": "integer", "minimum": 1}},
        "Challenge": {"description": "How to send an API key", "required": true, "schema": {"type": "string"}},
        "ETag": {"description": "The version: for `If-None-Match`, and for `If-Match` where something is changed",
                 "required": true, "schema": {"type": "string", "pattern": "^\"[A-Za-z0-9_.-]+\"$"}},
        "Replayed": {"description": "It was made before, by a request with the same `Idempotency-Key`",
                     "schema": {"const": "true"}},
        "Location": {"description": "Where it can be read", "schema": {"type": "string"}},
    })
}

/// Adds the codes that an operation may answer, and the headers that all answers have.
fn describe(operation: &mut Value) {
    let id = operation["operationId"].as_str().expect("an operation has an id").to_owned();
    // A body that may be left out may not be null.
    if let Some(schema) = operation.pointer_mut("/requestBody/content/application~1json/schema")
        && let Some(given) = schema.pointer("/oneOf/0").cloned()
    {
        *schema = given;
    }
    let codes = codes::of(&id).unwrap_or_else(|| panic!("codes.rs does not say what {id} may answer"));
    let responses = operation["responses"].as_object_mut().expect("an operation has answers");
    for (status, response) in responses.iter_mut() {
        let common = json!({"X-Request-Id": {"$ref": "#/components/headers/RequestId"}});
        response["headers"] = common;
        let is_connection =
            response.pointer("/content/application~1json/schema/$ref").is_some_and(|r| r == CONNECTION);
        if is_connection || status == "304" {
            response["headers"]["ETag"] = json!({"$ref": "#/components/headers/ETag"});
        }
        if status == "201" {
            response["headers"]["Location"] = json!({"$ref": "#/components/headers/Location"});
        }
    }
    if codes.contains(&(409, "idempotency_in_flight")) {
        take_a_name(operation);
    }
    let responses = operation["responses"].as_object_mut().expect("an operation has answers");
    let mut by_status = BTreeMap::<u16, Vec<&'static str>>::new();
    for (status, code) in codes {
        by_status.entry(status).or_default().push(code);
    }
    for (status, codes) in by_status {
        let mut response = refusal(status, &codes);
        if id.starts_with("proxy_") {
            // The provider may answer the same status, in words of its own.
            response["content"]["*/*"] = json!({});
            response["headers"].as_object_mut().expect("there are headers").remove("X-Mooring-Error");
        }
        if id == "proxy_head" {
            response.as_object_mut().expect("it is an object").remove("content");
        }
        responses.insert(status.to_string(), response);
    }
}

/// Of no operation: the answer to a method that an address does not take.
fn not_allowed() -> Value {
    let mut response = refusal(405, &["method_not_allowed"]);
    response["headers"]["Allow"] =
        json!({"description": "The methods that it takes", "required": true, "schema": {"type": "string"}});
    response
}

/// Calls that make something are made once where they have a name.
fn take_a_name(operation: &mut Value) {
    operation["responses"]["201"]["headers"]["Idempotency-Replayed"] =
        json!({"$ref": "#/components/headers/Replayed"});
    operation["parameters"] = json!([{
        "name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "minLength": 1, "maxLength": 255,
        "pattern": "^[!-~]+$"}, "description": "A name of your choice for this call, such as a fresh UUID. Sent again         within a day, with the same request, it is not made again: you get the same answer."}]);
}

fn refusal(status: u16, codes: &[&'static str]) -> Value {
    let meaning =
        |code: &&str| codes::meaning(code).unwrap_or_else(|| panic!("codes.rs does not explain {code}"));
    let told = codes.iter().map(|code| format!("- `{code}`: {}", meaning(code)));
    let examples = codes
        .iter()
        .map(|code| ((*code).to_owned(), json!({"$ref": format!("#/components/examples/{code}.{status}")})));
    let mut headers = json!({
        "X-Request-Id": {"$ref": "#/components/headers/RequestId"},
        "X-Mooring-Error": {"$ref": "#/components/headers/Error"},
    });
    match status {
        401 => headers["WWW-Authenticate"] = json!({"$ref": "#/components/headers/Challenge"}),
        409 | 503 => headers["Retry-After"] = json!({"$ref": "#/components/headers/RetryAfter"}),
        _ => {}
    }
    json!({
        "description": told.collect::<Vec<_>>().join("\n"),
        "headers": headers,
        "content": {PROBLEM: {
            "schema": {"allOf": [
                {"$ref": "#/components/schemas/Problem"},
                {"properties": {"code": {"enum": codes}, "status": {"const": status}}},
            ]},
            "examples": examples.collect::<Map<_, _>>(),
        }},
    })
}

fn example((status, code): Code) -> (String, Value) {
    let title = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let mut problem = json!({
        "type": format!("urn:mooring:problem:{code}"), "title": title, "status": status, "code": code,
        "detail": codes::meaning(code), "request_id": "0199a3c29f4e7c3a8d1e2f3a4b5c6d7e",
    });
    match code {
        "invalid_field" => {
            problem["errors"] = json!([{"field": "name", "code": code, "message": "Give a name."}]);
        }
        "invalid_parameter" => {
            problem["errors"] =
                json!([{"field": "limit", "code": code, "message": "Give a number from 1 to 200."}]);
        }
        "action_required" => {
            problem["reason"] = json!("token_expired");
            problem["action"] = json!("rotate");
            problem["action_url"] =
                json!("https://mooring.example.com/connections/0199a3c2-9f4e-7c3a-8d1e-2f3a4b5c6d7e/rotate");
        }
        "provider_unreachable" => problem["step"] = json!("tls"),
        "idempotency_in_flight" => problem["retry_after"] = json!(1),
        "provider_unavailable" | "rate_limited" => problem["retry_after"] = json!(30),
        _ => {}
    }
    (format!("{code}.{status}"), json!({"value": problem}))
}

/// The routes that tell of the process. They take no key.
fn process() -> Map<String, Value> {
    let plain = |id: &str, summary: &str, kind: &str, schema: Value| {
        json!({"get": {"operationId": id, "summary": summary, "tags": ["process"], "security": [],
            "responses": {"200": {"description": "Yes", "content": {kind: {"schema": schema}}}}}})
    };
    let text = || json!({"type": "string"});
    Map::from_iter([
        ("/healthz".to_owned(), plain("healthz", "Whether the process lives.", "text/plain", text())),
        (
            "/readyz".to_owned(),
            plain("readyz", "Whether it can work, and no stop is ahead.", "text/plain", text()),
        ),
        (
            "/openapi.json".to_owned(),
            plain("openapi", "This document.", "application/json", json!({"type": "object"})),
        ),
    ])
}

/// The proxy: one path, every method. What the provider answers goes back as it is, whatever its status.
fn proxy() -> Value {
    let parameters = json!([
        {"name": "ref", "in": "path", "required": true, "schema": {"type": "string"},
         "description": "Id of a connection or, where no other tenant has one of that name, its name"},
        {"name": "path", "in": "path", "required": true, "schema": {"type": "string"}, "example": "api/v4/user",
         "description": "The path below the connection's base URL, with its slashes, kept byte for byte: `api/v4/…`, \
                         `api/graphql`, or `group/repo.git/…` for git"},
    ]);
    let mut path = json!({ "parameters": parameters });
    for method in PROXIED {
        path[method] = json!({
            "operationId": format!("proxy_{method}"),
            "summary": "Sends the request on with the connection's credential.",
            "description": "The caller's credentials are taken off and the provider's put on; bodies stream both ways. \
                            Only errors of Mooring's own carry `X-Mooring-Error`.",
            "tags": ["proxy"],
            "security": [{"api_key": []}],
            "responses": {"default": {"description": "What the provider answered", "content": {"*/*": {}}}},
        });
        if matches!(method, "post" | "put" | "patch" | "delete") {
            path[method]["requestBody"] =
                json!({"description": "Whatever the provider takes", "content": {"*/*": {}}});
        }
    }
    path
}

/// A page says of what it is a page, in place of describing that again.
fn refer_to_items(schemas: &mut Map<String, Value>) {
    for (name, schema) in schemas {
        if let Some(item) = name.strip_prefix("Page_") {
            schema["properties"]["items"]["items"] = json!({"$ref": format!("#/components/schemas/{item}")});
        }
    }
}

fn add_examples(schemas: &mut Map<String, Value>) {
    let examples: BTreeMap<String, Value> = serde_json::from_str(EXAMPLES).expect("the examples are JSON");
    for (name, schema) in schemas {
        let page = name.strip_prefix("Page_").and_then(|item| examples.get(item));
        let example = page
            .map(|item| json!({"items": [item], "next_cursor": null}))
            .or_else(|| examples.get(name).cloned());
        if let Some(example) = example {
            schema["examples"] = json!([example]);
        }
    }
}
