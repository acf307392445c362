//! The authorization request and the token request, by the `oauth2` crate over our one HTTP client.

use super::{
    Client,
    document::Document,
    issuer::Issuer,
    refusal::{Refusal, Trouble},
};
use crate::domain::Secret;
use http::StatusCode;
use oauth2::{
    AsyncHttpClient, AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet,
    EndpointSet, ExtraTokenFields, HttpRequest, HttpResponse, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, RequestTokenError, Scope, StandardRevocableToken, StandardTokenResponse, TokenUrl,
    basic::{
        BasicErrorResponse, BasicErrorResponseType, BasicRevocationErrorResponse,
        BasicTokenIntrospectionResponse, BasicTokenType,
    },
};
use serde::{Deserialize, Serialize};
use std::{fmt, pin::Pin};
use url::Url;

/// Where to send the browser, and the code verifier to keep.
pub(super) struct AuthorizationRequest {
    pub(super) url: Url,
    pub(super) code_verifier: Secret,
}

/// What OpenID Connect adds to the answer of a token endpoint. The rest of that answer is dropped.
#[derive(Deserialize, Serialize)]
struct IdTokenField {
    id_token: String,
}

impl fmt::Debug for IdTokenField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdTokenField([redacted])")
    }
}

impl ExtraTokenFields for IdTokenField {}

type OAuthClient = oauth2::Client<
    BasicErrorResponse,
    StandardTokenResponse<IdTokenField, BasicTokenType>,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

pub(super) fn authorization(
    document: &Document,
    client: &Client,
    state: &Secret,
    nonce: &Secret,
) -> AuthorizationRequest {
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let state = state.expose().to_owned();
    let scopes = ["openid", "email", "profile"].map(|scope| Scope::new(scope.to_owned()));
    let (url, _) = oauth(document, client)
        .authorize_url(|| CsrfToken::new(state))
        .add_scopes(scopes)
        .add_extra_param("nonce", nonce.expose().to_owned())
        .set_pkce_challenge(challenge)
        .url();
    AuthorizationRequest { url, code_verifier: Secret::new(verifier.into_secret()) }
}

/// Exchanges a code, once.
pub(super) async fn id_token(
    issuer: &Issuer,
    document: &Document,
    client: &Client,
    code: &Secret,
    code_verifier: &Secret,
) -> Result<Secret, Trouble> {
    let answer = oauth(document, client)
        .exchange_code(AuthorizationCode::new(code.expose().to_owned()))
        .set_pkce_verifier(PkceCodeVerifier::new(code_verifier.expose().to_owned()))
        .request_async(&Wire(issuer))
        .await;
    match answer {
        Ok(answer) => Ok(Secret::new(answer.extra_fields().id_token.clone())),
        Err(error) => Err(trouble(error)),
    }
}

/// Our one HTTP client, as the `oauth2` crate wants it. No answer but the issuer's own word is one: a redirect is not
/// followed, and an error page not read.
struct Wire<'a>(&'a Issuer);

impl<'c> AsyncHttpClient<'c> for Wire<'_> {
    type Error = Trouble;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Trouble>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let unsendable = |_| Trouble::untrusted("The request could not be built.");
            let answer = self.0.send(request.try_into().map_err(unsendable)?).await?;
            let words = [StatusCode::OK, StatusCode::BAD_REQUEST, StatusCode::UNAUTHORIZED];
            if !words.contains(&answer.status) {
                return Err(self.0.answered(answer.status));
            }
            let response = http::Response::builder().status(answer.status).body(answer.body.to_vec());
            response.map_err(|_| Trouble::untrusted("The answer could not be read."))
        })
    }
}

/// Never formats the error: a parse error holds the whole body.
fn trouble(error: RequestTokenError<Trouble, BasicErrorResponse>) -> Trouble {
    match error {
        RequestTokenError::Request(trouble) => trouble,
        RequestTokenError::ServerResponse(answer) => match answer.error() {
            BasicErrorResponseType::InvalidClient | BasicErrorResponseType::UnauthorizedClient => {
                Trouble::new(
                    Refusal::Misconfigured,
                    "The issuer does not accept MOORING_OIDC_CLIENT_ID with MOORING_OIDC_CLIENT_SECRET.",
                )
            }
            BasicErrorResponseType::InvalidGrant => {
                Trouble::new(Refusal::Refused, "The issuer did not accept the authorization code.")
            }
            _ => Trouble::new(Refusal::Refused, "The issuer refused the authorization code."),
        },
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            Trouble::untrusted("The issuer's answer to the authorization code was not understood.")
        }
    }
}

fn oauth(document: &Document, client: &Client) -> OAuthClient {
    let auth_type = if document.secret_in_form { AuthType::RequestBody } else { AuthType::BasicAuth };
    oauth2::Client::new(ClientId::new(client.id.clone()))
        .set_client_secret(ClientSecret::new(client.secret.expose().to_owned()))
        .set_auth_uri(AuthUrl::from_url(document.authorization.clone()))
        .set_token_uri(TokenUrl::from_url(document.token.clone()))
        .set_redirect_uri(
            RedirectUrl::new(client.redirect_uri.clone()).expect("the site URL was parsed at start"),
        )
        .set_auth_type(auth_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_debug_shows_a_token_or_a_secret() {
        let client = Client {
            id: "mooring".into(),
            secret: Secret::new("canary-secret"),
            redirect_uri: "https://m.example/login/sso/callback".into(),
        };
        let shown = format!("{:?} {client:?}", IdTokenField { id_token: "canary-token".into() });
        assert!(!shown.contains("canary"), "{shown}");
    }
}
