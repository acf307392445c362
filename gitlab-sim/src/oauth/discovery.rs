//! The discovery documents (RFC 8414 and `OpenID` Connect), with addresses made from `external_url`.

use crate::object::Object;
use crate::reply::Reply;
use crate::world::World;

/// All scopes that an application may be registered for.
const SCOPES: &[&str] = &[
    "api",
    "read_api",
    "read_user",
    "create_runner",
    "manage_runner",
    "k8s_proxy",
    "self_rotate",
    "read_repository",
    "write_repository",
    "read_registry",
    "write_registry",
    "ai_features",
    "openid",
    "profile",
    "email",
];

pub(crate) fn document(world: &World) -> Reply {
    let links = world.links();
    let at = |path: &str| format!("{links}{path}");
    let body = Object::new()
        .with("issuer", links)
        .with("authorization_endpoint", at("/oauth/authorize"))
        .with("token_endpoint", at("/oauth/token"))
        .with("revocation_endpoint", at("/oauth/revoke"))
        .with("introspection_endpoint", at("/oauth/introspect"))
        .with("userinfo_endpoint", at("/oauth/userinfo"))
        .with("jwks_uri", at("/oauth/discovery/keys"))
        .with("scopes_supported", SCOPES.to_vec())
        .with("response_types_supported", vec!["code"])
        .with("response_modes_supported", vec!["query", "fragment", "form_post"])
        .with("grant_types_supported", vec!["authorization_code", "refresh_token"])
        .with("token_endpoint_auth_methods_supported", vec!["client_secret_basic", "client_secret_post"])
        .with("subject_types_supported", vec!["public"])
        .with("id_token_signing_alg_values_supported", vec!["RS256"])
        .with("claim_types_supported", vec!["normal"])
        .with("code_challenge_methods_supported", vec!["plain", "S256"]);
    Reply::new(200, "application/json; charset=utf-8", body.text())
}
