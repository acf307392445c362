//! Git LFS as GitLab does it (git-lfs, "Batch API"; GitLab docs, "Git LFS"): the batch names an address at GitLab itself
//! for each object, with the credential to fetch it by.

use super::git::password;
use axum::{
    body::{Body, Bytes, to_bytes},
    extract::Request,
    response::Response,
};
use gitlab_sim::Sim;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{collections::HashMap, sync::Mutex};

/// The largest object, in bytes.
const LARGEST: usize = 64 << 20;

/// Objects by their hash.
#[derive(Default)]
pub(crate) struct Objects(Mutex<HashMap<String, Bytes>>);

impl Objects {
    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn get(&self, oid: &str) -> Option<Bytes> {
        self.0.lock().unwrap().get(oid).cloned()
    }
}

/// Answers what a client of LFS asks of a repository. `url` is where the server believes to be.
pub(super) async fn serve(sim: &Sim, objects: &Objects, url: &str, request: Request) -> Response {
    let token = password(request.headers()).filter(|token| sim.is_live(token));
    let Some(token) = token else { return plain(StatusCode::UNAUTHORIZED, Body::empty()) };
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    let body = to_bytes(request.into_body(), LARGEST).await.expect("it arrives");
    if path.ends_with("/info/lfs/objects/batch") {
        let repository = path.split(".git/").next().expect("there is one");
        return batch(objects, &format!("{url}{repository}.git"), &token, &body);
    }
    let oid = path.split("/gitlab-lfs/objects/").nth(1).and_then(|rest| rest.split('/').next());
    match (oid, method) {
        (Some(oid), Method::PUT) => {
            assert_eq!(oid, hex(&Sha256::digest(&body)), "an upload arrives as it was sent");
            objects.0.lock().unwrap().insert(oid.to_owned(), body);
            plain(StatusCode::OK, Body::empty())
        }
        (Some(oid), Method::GET) => match objects.get(oid) {
            Some(bytes) => plain(StatusCode::OK, Body::from(bytes)),
            None => plain(StatusCode::NOT_FOUND, Body::empty()),
        },
        _ => plain(StatusCode::NOT_FOUND, Body::empty()),
    }
}

fn batch(objects: &Objects, repository: &str, token: &str, body: &[u8]) -> Response {
    let asked: Value = serde_json::from_slice(body).expect("a batch is JSON");
    let upload = asked["operation"] == "upload";
    let credential = format!("Basic {}", super::git::basic("oauth2", token));
    let object = |one: &Value| {
        let (oid, size) = (one["oid"].as_str().expect("an object has one"), &one["size"]);
        let known = objects.get(oid).is_some();
        let href = format!(
            "{repository}/gitlab-lfs/objects/{oid}{}",
            if upload { format!("/{size}") } else { String::new() }
        );
        let action = json!({ "href": href, "header": { "Authorization": credential } });
        match (upload, known) {
            (true, true) => json!({ "oid": oid, "size": size }),
            (true, false) => {
                json!({ "oid": oid, "size": size, "authenticated": true, "actions": { "upload": action } })
            }
            (false, true) => {
                json!({ "oid": oid, "size": size, "authenticated": true, "actions": { "download": action } })
            }
            (false, false) => {
                json!({ "oid": oid, "size": size, "error": { "code": 404, "message": "Object does not exist" } })
            }
        }
    };
    let found: Vec<_> = asked["objects"].as_array().into_iter().flatten().map(object).collect();
    let mut response =
        plain(StatusCode::OK, Body::from(json!({ "transfer": "basic", "objects": found }).to_string()));
    let kind = "application/vnd.git-lfs+json".parse().expect("a header's value");
    response.headers_mut().insert("content-type", kind);
    response
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn plain(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}
