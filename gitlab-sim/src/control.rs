//! The HTTP controls under `{base}/_sim/`: JSON in, JSON out, each a thin layer over a call of the library.

use axum::http::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use time::Date;
use time::format_description::well_known::Iso8601;

use crate::call::Call;
use crate::endpoint::Endpoint;
use crate::fault::{Fault, Obstacle};
use crate::oauth::authorize::{Asked, Decision};
use crate::reply::Reply;
use crate::world::{App, Kind, MintedToken, ServiceOwner, UserId, World};

type Answer = Result<Value, String>;

#[derive(Deserialize)]
struct Mint {
    /// `personal`, `project`, `group`, `service` or `oauth`.
    kind: String,
    username: Option<String>,
    project: Option<String>,
    group: Option<String>,
    client_id: Option<String>,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default = "maintainer")]
    access_level: i64,
    expires_at: Option<String>,
}

#[derive(Deserialize)]
struct OneToken {
    token: String,
}

#[derive(Deserialize)]
struct Seconds {
    seconds: u64,
}

#[derive(Deserialize)]
struct NewFault {
    endpoint: String,
    fault: Fault,
    #[serde(default)]
    always: bool,
}

#[derive(Deserialize)]
struct State {
    username: String,
    state: String,
}

#[derive(Deserialize)]
struct Person {
    username: String,
}

#[derive(Deserialize)]
struct Place {
    path: String,
}

#[derive(Deserialize)]
struct Membership {
    username: String,
    project: Option<String>,
    group: Option<String>,
    access_level: i64,
}

#[derive(Deserialize)]
struct NewApplication {
    redirect_uri: String,
    scopes: Vec<String>,
}

#[derive(Deserialize)]
struct Authorization {
    username: String,
    client_id: String,
}

#[derive(Deserialize)]
struct AuthorizeUrl {
    url: String,
}

pub(crate) fn answer(world: &mut World, call: &Call) -> Reply {
    let path: Vec<&str> = call.segments.iter().skip(1).map(String::as_str).collect();
    let outcome = match (&call.method, path.as_slice()) {
        (&Method::GET, ["counts"]) => Ok(json!(world.counts)),
        (&Method::GET, ["seen", endpoint]) => seen(world, endpoint),
        (&Method::GET, ["live-refresh-tokens"]) => Ok(json!(world.live_refresh_tokens())),
        (&Method::DELETE, ["faults"]) => {
            world.faults.clear();
            Ok(json!({}))
        }
        (&Method::POST, ["mint"]) => read(call).and_then(|body| mint(world, &body)),
        (&Method::POST, ["expire"]) => read(call).map(|body: OneToken| world.expire(&body.token)).map(ack),
        (&Method::POST, ["revoke"]) => read(call).map(|body: OneToken| world.revoke(&body.token)).map(ack),
        (&Method::POST, ["is-live"]) => {
            read(call).map(|body: OneToken| json!({ "live": world.is_live(&body.token) }))
        }
        (&Method::POST, ["revoke-authorization"]) => read(call).and_then(|body| revoke_all(world, &body)),
        (&Method::POST, ["advance"]) => read(call).map(|body: Seconds| world.advance(body.seconds)).map(ack),
        (&Method::POST, ["token-life"]) => {
            read(call).map(|body: Seconds| world.set_life(body.seconds)).map(ack)
        }
        (&Method::POST, ["faults"]) => read(call).and_then(|body| add_fault(world, body)),
        (&Method::POST, ["users", "state"]) => read(call).and_then(|body| set_state(world, &body)),
        (&Method::POST, ["sign-in-as"]) => read(call).and_then(|body| sign_in(world, &body)),
        (&Method::POST, ["approve"]) => read(call).and_then(|body| act(world, &body, Decision::Authorize)),
        (&Method::POST, ["deny"]) => read(call).and_then(|body| act(world, &body, Decision::Cancel)),
        (&Method::POST, ["users"]) => {
            read(call).map(|body: Person| json!({ "id": world.add_user(&body.username, &body.username) }))
        }
        (&Method::POST, ["projects"]) => {
            read(call).map(|body: Place| json!({ "id": world.add_project(&body.path) }))
        }
        (&Method::POST, ["groups"]) => {
            read(call).map(|body: Place| json!({ "id": world.add_group(&body.path) }))
        }
        (&Method::POST, ["members"]) => read(call).and_then(|body| join(world, &body)),
        (&Method::POST, ["applications"]) => read(call).map(|body| register(world, &body)),
        _ => return Reply::json_text(404, json!({ "error": "no such control" }).to_string()),
    };
    match outcome {
        Ok(value) => Reply::json_text(200, value.to_string()),
        Err(problem) => Reply::json_text(422, json!({ "error": problem }).to_string()),
    }
}

fn read<T: DeserializeOwned>(call: &Call) -> Result<T, String> {
    serde_json::from_slice(&call.body).map_err(|error| error.to_string())
}

fn ack((): ()) -> Value {
    json!({})
}

fn maintainer() -> i64 {
    40
}

fn seen(world: &World, endpoint: &str) -> Answer {
    let endpoint: Endpoint = endpoint.parse()?;
    Ok(json!(world.seen.get(&endpoint)))
}

fn mint(world: &mut World, body: &Mint) -> Answer {
    let scopes: Vec<&str> = body.scopes.iter().map(String::as_str).collect();
    let expires_at = body.expires_at.as_deref().map(date).transpose()?;
    let minted = match body.kind.as_str() {
        "personal" => {
            let user = user(world, body.username.as_deref())?;
            world.mint(Kind::Personal, user, "personal-token", &scopes, expires_at).minted()
        }
        "project" => {
            let project = project(world, body.project.as_deref())?;
            world.mint_project(project, &scopes, body.access_level, expires_at)
        }
        "group" => {
            let group = group(world, body.group.as_deref())?;
            world.mint_group(group, &scopes, body.access_level, expires_at)
        }
        "service" => {
            let owner = match (&body.group, &body.project) {
                (Some(_), _) => ServiceOwner::Group(group(world, body.group.as_deref())?),
                (None, Some(_)) => ServiceOwner::Project(project(world, body.project.as_deref())?),
                (None, None) => ServiceOwner::Instance,
            };
            world.mint_service(owner, body.username.as_deref(), &scopes, expires_at)
        }
        "oauth" => return mint_oauth(world, body),
        other => return Err(format!("no token kind is called {other}")),
    };
    let MintedToken { id, token, user_id } = minted;
    Ok(json!({ "id": id, "token": token, "user_id": user_id }))
}

fn mint_oauth(world: &mut World, body: &Mint) -> Answer {
    let user = user(world, body.username.as_deref())?;
    let client_id = body.client_id.as_deref().ok_or("client_id is missing")?;
    let life = world.token_life();
    let row = world.insert_row(client_id, user, body.scopes.clone(), life);
    Ok(json!({ "access": row.access, "refresh": row.refresh, "user_id": row.user }))
}

fn join(world: &mut World, body: &Membership) -> Answer {
    let user = user(world, Some(&body.username))?;
    if body.group.is_some() {
        let group = group(world, body.group.as_deref())?;
        world.join_group(group, user, body.access_level, None);
    } else {
        let project = project(world, body.project.as_deref())?;
        world.join_project(project, user, body.access_level, None);
    }
    Ok(json!({}))
}

fn register(world: &mut World, body: &NewApplication) -> Value {
    let scopes: Vec<&str> = body.scopes.iter().map(String::as_str).collect();
    let App { client_id, client_secret } = world.add_application(&body.redirect_uri, &scopes);
    json!({ "client_id": client_id, "client_secret": client_secret })
}

fn revoke_all(world: &mut World, body: &Authorization) -> Answer {
    let user = user(world, Some(&body.username))?;
    world.revoke_authorization(user, &body.client_id);
    Ok(json!({}))
}

fn add_fault(world: &mut World, body: NewFault) -> Answer {
    let endpoint: Endpoint = body.endpoint.parse()?;
    if body.always {
        world.faults.stand(endpoint, body.fault);
    } else {
        world.faults.queue(endpoint, Obstacle::Fault(body.fault));
    }
    Ok(json!({}))
}

fn set_state(world: &mut World, body: &State) -> Answer {
    let user = user(world, Some(&body.username))?;
    world.set_user_state(user, body.state.parse()?);
    Ok(json!({}))
}

fn sign_in(world: &mut World, body: &Person) -> Answer {
    world.signed_in = Some(user(world, Some(&body.username))?);
    Ok(json!({}))
}

fn act(world: &mut World, body: &AuthorizeUrl, decision: Decision) -> Answer {
    let location = world.decide(&Asked::of_url(&body.url)?, decision)?;
    Ok(json!({ "location": location }))
}

fn date(text: &str) -> Result<Date, String> {
    Date::parse(text, &Iso8601::DATE).map_err(|error| error.to_string())
}

/// The named user, else the one who is signed in.
fn user(world: &World, username: Option<&str>) -> Result<UserId, String> {
    match username {
        Some(name) => world.user_named(name).ok_or_else(|| format!("no user is called {name}")),
        None => world.browser_user().ok_or_else(|| "there are no users".to_owned()),
    }
}

fn project(world: &World, reference: Option<&str>) -> Result<i64, String> {
    let reference = reference.ok_or("project is missing")?;
    let project = world.find_project(reference).map(|project| project.id);
    project.ok_or_else(|| format!("no project {reference}"))
}

fn group(world: &World, reference: Option<&str>) -> Result<i64, String> {
    let reference = reference.ok_or("group is missing")?;
    world.find_group(reference).map(|group| group.id).ok_or_else(|| format!("no group {reference}"))
}
