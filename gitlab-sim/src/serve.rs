//! From the socket to the world and back. A request is carried out in a task of its own: like a real server,
//! the simulator finishes what it began although the client hung up.

use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, Response};

use crate::call::Call;
use crate::counts::Seen;
use crate::endpoint::Endpoint;
use crate::fault::{Fault, Obstacle};
use crate::reply::Reply;
use crate::world::World;
use crate::{control, headers, oauth, rest, tasks};

const LARGEST_BODY: usize = 8 * 1024 * 1024;

/// What the handle, the server and the controls share.
pub(crate) struct Shared(Mutex<World>);

impl Shared {
    pub(crate) fn new(world: World) -> Self {
        Self(Mutex::new(world))
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a token request for as long as it is under way.
struct UnderWay(Arc<Shared>);

impl UnderWay {
    fn begin(shared: &Arc<Shared>) -> Self {
        let mut world = shared.world();
        world.token_requests += 1;
        world.counts.token_requests_at_once = world.counts.token_requests_at_once.max(world.token_requests);
        Self(Arc::clone(shared))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.world().token_requests -= 1;
    }
}

/// How a request ends on the wire.
enum End {
    Whole(Reply),
    Truncated(Reply),
    Dropped,
}

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new().fallback(receive).with_state(shared)
}

async fn receive(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
        return Reply::message(413, "413 Request Entity Too Large").into_response();
    };
    let base = shared.world().options.base_path.clone();
    let Some(call) = Call::new(&base, parts, body) else {
        return Reply::html(404, "<h1>404</h1><p>Nothing is installed here.</p>").into_response();
    };
    match tasks::spawn(carry_out(shared, call)).await {
        Ok(End::Whole(reply)) => reply.into_response(),
        Ok(End::Truncated(reply)) => reply.into_truncated(),
        // Unwinding ends the connection's task and with it the connection; no panic is reported.
        Ok(End::Dropped) => resume_unwind(Box::new("connection dropped by a fault")),
        Err(_) => Reply::message(500, "500 Internal Server Error").into_response(),
    }
}

async fn carry_out(shared: Arc<Shared>, call: Call) -> End {
    if call.segments.first().is_some_and(|first| first == "_sim") {
        return End::Whole(control::answer(&mut shared.world(), &call));
    }
    let endpoint = Endpoint::of(&call);
    let obstacle = arrive(&mut shared.world(), endpoint, &call);
    let _under_way = (endpoint == Endpoint::Token).then(|| UnderWay::begin(&shared));
    match &obstacle {
        Some(Obstacle::HoldBefore(gate)) => gate.pass().await,
        Some(Obstacle::Fault(Fault::DelayBefore(delay))) => tokio::time::sleep(*delay).await,
        Some(Obstacle::Fault(Fault::DropBefore)) => return End::Dropped,
        _ => {}
    }
    let instead = match &obstacle {
        Some(Obstacle::Fault(fault)) => headers::instead(&shared.world(), fault),
        _ => None,
    };
    let reply = instead.unwrap_or_else(|| commit(&mut shared.world(), endpoint, &call));
    let reply = finish(&mut shared.world(), endpoint, reply);
    match obstacle {
        Some(Obstacle::HoldAfter(gate)) => gate.pass().await,
        Some(Obstacle::Fault(Fault::DelayAfter(delay))) => tokio::time::sleep(delay).await,
        Some(Obstacle::Fault(Fault::DropAfterCommit)) => return End::Dropped,
        Some(Obstacle::Fault(Fault::Truncate)) => return End::Truncated(reply),
        Some(Obstacle::Fault(Fault::JsonAfter { status, body })) => {
            return End::Whole(Reply::json_text(status, body));
        }
        _ => {}
    }
    End::Whole(reply)
}

/// Counts and remembers the request, and takes what stands in its way.
fn arrive(world: &mut World, endpoint: Endpoint, call: &Call) -> Option<Obstacle> {
    let seen = Seen::of(call);
    world.counts.arrived(endpoint);
    world.seen.insert(Endpoint::Any, seen.clone());
    world.seen.insert(endpoint, seen);
    world.faults.take(endpoint)
}

/// Does what was asked, under one lock.
fn commit(world: &mut World, endpoint: Endpoint, call: &Call) -> Reply {
    let writes = call.method != Method::GET && endpoint != Endpoint::Token;
    if world.maintenance && writes {
        return headers::maintenance();
    }
    if call.segments.is_empty() && call.method == Method::GET {
        return oauth::welcome(world);
    }
    oauth::answer(world, endpoint, call).unwrap_or_else(|| rest::answer(world, endpoint, call))
}

fn finish(world: &mut World, endpoint: Endpoint, reply: Reply) -> Reply {
    world.counts.unauthorized += u64::from(reply.status == 401);
    headers::add(world, endpoint, reply)
}
