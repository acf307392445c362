//! `/version` and `/metadata`, which answer the same.

use super::ok;
use crate::object::Object;
use crate::reply::Reply;
use crate::world::World;

pub(crate) fn version(world: &World) -> Reply {
    let number = world.options.version.number();
    let links = world.links();
    let kas = Object::new()
        .with("enabled", true)
        .with("externalUrl", format!("{}/-/kubernetes-agent/", links.replacen("http", "ws", 1)))
        .with("externalK8sProxyUrl", format!("{links}/-/kubernetes-agent/k8s-proxy/"))
        .with("version", number.trim_end_matches("-ee"));
    let body = Object::new()
        .with("version", number)
        .with("revision", "a88e17d191e")
        .nest("kas", kas)
        .with("enterprise", true);
    ok(&body)
}
