//! Git LFS tells its client where each object lies, and with which credential to get it (git-lfs, "Batch API"). Both
//! stand in the body, so this one answer is read and rewritten.

use super::rewrite::Rewrite;
use crate::{domain::Secret, outbound::Streamed};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http::{
    HeaderMap, Method,
    header::{ACCEPT_ENCODING, CONTENT_LENGTH, RANGE},
};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

/// A batch names a hundred objects; this fits thousands, in bytes.
const MOST: usize = 4 << 20;

/// Whether this request asks for a batch, in every spelling that leads there.
pub(super) fn is_batch(method: &Method, path: &str) -> bool {
    let plain = percent_decode_str(path).decode_utf8_lossy().to_lowercase();
    let segments: Vec<_> = plain.split('/').filter(|segment| !segment.is_empty()).collect();
    *method == Method::POST && segments.ends_with(&["info", "lfs", "objects", "batch"])
}

/// The answer must come in the open and whole, so that it can be read.
pub(super) fn ask_plainly(headers: &mut HeaderMap) {
    headers.remove(ACCEPT_ENCODING);
    headers.remove(RANGE);
}

/// The same answer with addresses that lead here, and without the provider's credential. What cannot be looked at does
/// not go on, unless it is a refusal, which holds neither.
pub(super) async fn rewritten(answer: Streamed, token: &Secret, rewrite: &Rewrite<'_>) -> Streamed {
    let Streamed { status, mut headers, mut body } = answer;
    let mut read = BytesMut::new();
    while let Some(chunk) = body.next().await {
        match chunk {
            Ok(chunk) if read.len() + chunk.len() <= MOST => read.extend_from_slice(&chunk),
            Ok(_) => return broken(status, headers, "the batch is larger than 4 MiB"),
            Err(error) => {
                return Streamed { status, headers, body: stream::once(async { Err(error) }).boxed() };
            }
        }
    }
    let bytes = match serde_json::from_slice(&read) {
        Ok(batch) => Bytes::from(cleaned(batch, token, rewrite).to_string()),
        Err(_) if status.is_success() => return broken(status, headers, "the batch cannot be read"),
        Err(_) => read.freeze(),
    };
    headers.insert(CONTENT_LENGTH, bytes.len().into());
    Streamed { status, headers, body: stream::once(async { Ok(bytes) }).boxed() }
}

fn broken(status: http::StatusCode, mut headers: HeaderMap, why: &'static str) -> Streamed {
    headers.remove(CONTENT_LENGTH);
    Streamed { status, headers, body: stream::once(async move { Err(why.into()) }).boxed() }
}

fn cleaned(mut batch: Value, token: &Secret, rewrite: &Rewrite<'_>) -> Value {
    let objects = batch.get_mut("objects").and_then(Value::as_array_mut).into_iter().flatten();
    for object in objects.filter_map(Value::as_object_mut) {
        // The client must bring its own key.
        object.remove("authenticated");
        let actions = object.get_mut("actions").and_then(Value::as_object_mut).into_iter();
        for action in actions.flat_map(Map::values_mut) {
            clean(action, token, rewrite);
        }
    }
    batch
}

fn clean(action: &mut Value, token: &Secret, rewrite: &Rewrite<'_>) {
    if let Some(here) = action["href"].as_str().and_then(|href| rewrite.address(href)) {
        action["href"] = here.into();
    }
    let Some(header) = action.get_mut("header").and_then(Value::as_object_mut) else { return };
    // Storage elsewhere is reached by a signed address and needs no such header.
    header.retain(|name, value| {
        let echoes = value.as_str().is_some_and(|text| token.is_in(text.as_bytes()));
        !name.eq_ignore_ascii_case("authorization") && !echoes
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::BaseUrl;
    use serde_json::json;
    use url::Url;

    #[test]
    fn objects_are_fetched_through_here_and_with_the_callers_own_key() {
        let base_url = BaseUrl::parse_configured("https://gitlab.example.com").unwrap();
        let asked = Url::parse("https://gitlab.example.com/acme/web.git/info/lfs/objects/batch").unwrap();
        let rewrite =
            Rewrite { base_url: &base_url, asked: &asked, proxy_url: "https://m.example.com/proxy/acme" };
        let object = |host: &str, header: Value| json!({ "oid": "1", "actions": { "download": { "href": format!("{host}/acme/web.git/gitlab-lfs/objects/1"), "header": header } } });
        for path in [
            "a/b.git/info/lfs/objects/batch",
            "a/b.git/info//LFS/objects/batch/",
            "b.git/info/lfs/objects/%62atch",
        ] {
            assert!(is_batch(&Method::POST, path), "{path}");
        }
        let mut batch = json!({ "transfer": "basic", "objects": [
            object("https://gitlab.example.com", json!({ "Authorization": "Basic b2F1dGgyOmdscGF0LXg=", "X-Kept": "1" })),
            object("http://internal:8080", json!({ "Authorization": "Basic b2F1dGgyOmdscGF0LXg=" })),
            object("https://storage.example.com/bucket", json!({ "authorization": "x", "X-Echo": "glpat-x" })),
            { "oid": "2", "error": { "code": 404, "message": "Not found" } },
        ] });
        batch["objects"][0]["authenticated"] = true.into();
        let cleaned = cleaned(batch, &Secret::new("glpat-x"), &rewrite);
        let expected = json!({ "transfer": "basic", "objects": [
            object("https://m.example.com/proxy/acme", json!({ "X-Kept": "1" })),
            object("https://m.example.com/proxy/acme", json!({})),
            object("https://storage.example.com/bucket", json!({})),
            { "oid": "2", "error": { "code": 404, "message": "Not found" } },
        ] });
        assert_eq!(cleaned, expected);
    }
}
