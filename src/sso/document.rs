//! The issuer's description of itself (OpenID Connect Discovery section 4.3).
//!
//! The rule it guards: whoever can put a document in front of us cannot send a person, a code or our client secret
//! anywhere but to the issuer's own origin.

use super::refusal::Trouble;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use url::Url;

/// What is used of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) authorization: Url,
    pub(super) token: Url,
    pub(super) keys: Url,
    /// With which its ID tokens may be signed: none that somebody could make who only knows what we know.
    pub(super) algorithms: Vec<Algorithm>,
    /// Whether our secret goes into the form, because it does not take it in a header.
    pub(super) secret_in_form: bool,
    /// Whether its answers say whose they are (RFC 9207).
    pub(super) names_itself: bool,
}

#[derive(Deserialize)]
struct Raw {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    id_token_signing_alg_values_supported: Vec<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    authorization_response_iss_parameter_supported: Option<bool>,
}

impl Document {
    /// Reads a document that was fetched for this issuer.
    pub(super) fn read(body: &[u8], issuer: &str, origin: &Url) -> Result<Self, Trouble> {
        let raw: Raw = serde_json::from_slice(body)
            .map_err(|_| Trouble::untrusted("The issuer's configuration is not complete, or is no JSON."))?;
        if raw.issuer != issuer {
            return Err(Trouble::untrusted(
                "The issuer's configuration is of another issuer. MOORING_OIDC_ISSUER must be written exactly as \
                 there, also with or without a slash at its end.",
            ));
        }
        let endpoint = |name: &str, text: &str| endpoint(name, text, origin);
        Ok(Self {
            authorization: endpoint("authorization_endpoint", &raw.authorization_endpoint)?,
            token: endpoint("token_endpoint", &raw.token_endpoint)?,
            keys: endpoint("jwks_uri", &raw.jwks_uri)?,
            algorithms: algorithms(&raw.id_token_signing_alg_values_supported)?,
            secret_in_form: secret_in_form(raw.token_endpoint_auth_methods_supported.as_deref())?,
            names_itself: raw.authorization_response_iss_parameter_supported == Some(true),
        })
    }
}

fn endpoint(name: &str, text: &str, origin: &Url) -> Result<Url, Trouble> {
    let wrong = |what: &str| Trouble::untrusted(format!("The issuer's {name} {what}."));
    let url = Url::parse(text).map_err(|_| wrong("is no URL"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("has a user or a password in it"));
    }
    if url.fragment().is_some() {
        return Err(wrong("has a # part"));
    }
    if url.origin() != origin.origin() {
        return Err(wrong("is at another origin than the issuer"));
    }
    Ok(url)
}

fn algorithms(named: &[String]) -> Result<Vec<Algorithm>, Trouble> {
    let known: Vec<_> =
        named.iter().filter_map(|name| name.parse().ok()).filter(|one| is_asymmetric(*one)).collect();
    if known.is_empty() {
        return Err(Trouble::untrusted("The issuer signs with no algorithm that is taken here."));
    }
    Ok(known)
}

/// Written out: an algorithm that a library learns later is not taken unseen.
fn is_asymmetric(algorithm: Algorithm) -> bool {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    [RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA].contains(&algorithm)
}

/// RFC 6749 section 2.3.1 prefers the header; what a document leaves out it takes.
fn secret_in_form(methods: Option<&[String]>) -> Result<bool, Trouble> {
    let takes = |method: &str| methods.is_none_or(|all| all.iter().any(|one| one == method));
    match (takes("client_secret_basic"), takes("client_secret_post")) {
        (true, _) => Ok(false),
        (false, true) => Ok(true),
        (false, false) => Err(Trouble::untrusted(
            "The issuer takes a client secret neither as client_secret_basic nor as client_secret_post.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const ISSUER: &str = "https://id.example/realm";

    fn read(changes: Value) -> Result<Document, Trouble> {
        let mut document = json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://id.example/authorize",
            "token_endpoint": "https://id.example/token",
            "jwks_uri": "https://id.example/keys",
            "id_token_signing_alg_values_supported": ["RS256"],
        });
        if let Value::Object(changes) = changes {
            document.as_object_mut().unwrap().extend(changes);
        }
        Document::read(document.to_string().as_bytes(), ISSUER, &ISSUER.parse().unwrap())
    }

    #[test]
    fn a_good_document_is_read() {
        let read = |changes| read(changes).unwrap();
        let plain = read(json!({"userinfo_endpoint": "https://elsewhere.example/"}));
        assert!(!plain.secret_in_form && !plain.names_itself);
        assert_eq!(read(json!({"token_endpoint": "https://ID.example:443/token"})).token, plain.token);
        let post =
            json!({"token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_post"]});
        assert!(read(post).secret_in_form);
        let both =
            json!({"token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"]});
        assert!(!read(both).secret_in_form);
        let many =
            json!({"id_token_signing_alg_values_supported": ["none", "HS256", "ES512", "PS256", "EdDSA"]});
        assert_eq!(read(many).algorithms, [Algorithm::PS256, Algorithm::EdDSA]);
        assert!(read(json!({"authorization_response_iss_parameter_supported": true})).names_itself);
    }

    #[test]
    fn poisoned_documents_are_refused() {
        let mut all = vec![
            json!({"issuer": "https://evil.example/realm"}),
            json!({"issuer": "https://id.example/realm/"}),
            json!({"issuer": "https://ID.example/realm"}),
            json!({"issuer": null}),
            json!({"id_token_signing_alg_values_supported": ["none", "HS256"]}),
            json!({"id_token_signing_alg_values_supported": null}),
            json!({"token_endpoint_auth_methods_supported": ["none"]}),
        ];
        for name in ["authorization_endpoint", "token_endpoint", "jwks_uri"] {
            for url in [
                "https://evil.example/x",
                "http://id.example/x",
                "https://id.example:8443/x",
                "https://id.example.evil.example/x",
                "https://user@id.example/x",
                "https://:password@id.example/x",
                "https://id.example/x#fragment",
                "//id.example/x",
                "/x",
                "javascript:alert(1)",
                "",
            ] {
                all.push(json!({ name: url }));
            }
            all.push(json!({ name: null }));
        }
        for bad in all {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
        for body in ["", "[]", "<html>", "{\"issuer\":\"https://id.example/realm\"}"] {
            assert!(Document::read(body.as_bytes(), ISSUER, &ISSUER.parse().unwrap()).is_err(), "{body}");
        }
    }
}
