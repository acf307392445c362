//! The headers that every answer carries, and the answers that faults give instead.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use time::Duration;

use crate::clock;
use crate::endpoint::Endpoint;
use crate::fault::Fault;
use crate::object::Object;
use crate::random;
use crate::reply::Reply;
use crate::world::World;

/// Requests for each minute and user on gitlab.com.
const LIMIT: u64 = 2000;

/// Adds the common headers, the caching headers of the REST half, and `RateLimit-*` when switched on.
pub(crate) fn add(world: &World, endpoint: Endpoint, reply: Reply) -> Reply {
    let id = random::hex32();
    let meta = format!("{{\"correlation_id\":\"{id}\",\"version\":\"1\"}}");
    let mut reply = reply
        .header("X-Request-Id", id)
        .header("X-Runtime", "0.042")
        .header("X-Gitlab-Meta", meta)
        .header("Vary", "Origin");
    if !reply.has_header("Cache-Control") && reply.has_header("Content-Type") {
        let etag = etag(&reply.body);
        reply = match reply.status {
            200 => reply.header("Cache-Control", "max-age=0, private, must-revalidate").header("Etag", etag),
            _ => reply.header("Cache-Control", "no-cache"),
        };
    }
    if world.options.rate_limit_headers && !reply.has_header("RateLimit-Limit") {
        let observed = world.counts.requests_total % LIMIT;
        reply = rate_limit(world, reply, throttle(endpoint), observed);
    }
    reply
}

/// The answer that a fault gives in place of the real one, before anything is done.
pub(crate) fn instead(world: &World, fault: &Fault) -> Option<Reply> {
    let reply = match fault {
        Fault::Status { status, headers, body } => status_page(*status, headers, body),
        Fault::Json { status, body } => Reply::json_text(*status, body.as_str()),
        Fault::RateLimitedRack { retry_after } => throttled(world, *retry_after),
        Fault::RateLimitedEndpoint => {
            let text = "This endpoint has been requested too many times. Try again later.";
            Reply::json(429, &Object::new().nest("message", Object::new().with("error", text)))
        }
        Fault::Maintenance => maintenance(),
        _ => return None,
    };
    Some(reply)
}

pub(crate) fn maintenance() -> Reply {
    Reply::message(503, "GitLab Maintenance: system is in maintenance mode")
}

fn status_page(status: u16, headers: &[(String, String)], body: &str) -> Reply {
    let mut reply = Reply { status, headers: headers.to_vec(), body: body.to_owned() };
    if !reply.has_header("Content-Type") {
        reply = reply.header("Content-Type", "text/html; charset=UTF-8");
    }
    reply
}

fn throttled(world: &World, retry_after: u64) -> Reply {
    let reply = Reply::new(429, "text/plain", "Retry later");
    let reset = world.now() + Duration::seconds(i64::try_from(retry_after).unwrap_or(60));
    rate_limit(world, reply, "throttle_authenticated_api", LIMIT + 1)
        .header("RateLimit-ResetTime", clock::http_date(reset))
        .header("Retry-After", retry_after.to_string())
}

fn rate_limit(world: &World, reply: Reply, name: &str, observed: u64) -> Reply {
    let now = world.now().unix_timestamp();
    reply
        .header("RateLimit-Limit", LIMIT.to_string())
        .header("RateLimit-Name", name)
        .header("RateLimit-Observed", observed.to_string())
        .header("RateLimit-Remaining", LIMIT.saturating_sub(observed).to_string())
        .header("RateLimit-Reset", (now - now.rem_euclid(60) + 60).to_string())
}

/// The OAuth endpoints count as unauthenticated requests of an address.
fn throttle(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Token | Endpoint::Revoke | Endpoint::Introspect => "throttle_unauthenticated_api",
        _ => "throttle_authenticated_api",
    }
}

fn etag(body: &str) -> String {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    format!("W/\"{:016x}\"", hasher.finish())
}
