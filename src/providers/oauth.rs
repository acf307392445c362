//! The standard half of every provider: RFC 6749, 7636 and 7009. The `oauth2` crate's generics stay here.

use super::{
    Endpoints, ExchangeError, Instance, KeepAnswer, RenewError, RevokeError, Trouble,
    answer::{self, KeepNothing, Part, Wire, WireError, granted_in, read_object},
};
use crate::{
    domain::{BaseUrl, OAuthApplication, Scopes, Secret},
    outbound::{ANSWER_LIMIT, Answer, OutboundError, Sent},
};
use http::{Method, StatusCode};
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError, Scope, TokenResponse,
    TokenUrl,
    basic::{BasicClient, BasicErrorResponse, BasicErrorResponseType, BasicTokenResponse},
};
use std::time::Duration;
use time::OffsetDateTime;
use url::Url;

type Client = BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;
type TokenError = RequestTokenError<WireError, BasicErrorResponse>;

/// GitLab's own lifetime of an access token, for an answer that names none.
const ASSUMED_LIFE: Duration = Duration::from_secs(7_200);

/// Where to send the browser, and the code verifier to keep.
pub struct AuthorizationRequest {
    pub url: Url,
    pub code_verifier: Secret,
}

/// What a token endpoint granted.
#[derive(Debug)]
pub struct Grant {
    pub access_token: Secret,
    /// `None`: the one that was sent stays good (RFC 6749 section 6).
    pub refresh_token: Option<Secret>,
    pub expires_at: OffsetDateTime,
    /// `None`: as asked for (RFC 6749 section 5.1).
    pub scopes: Option<Scopes>,
}

pub(super) fn authorization_request(
    instance: &Instance,
    endpoints: Endpoints,
    scopes: &Scopes,
    state: &Secret,
) -> Result<AuthorizationRequest, ExchangeError> {
    let client = client(instance, endpoints)?;
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let state = state.expose().to_owned();
    let (url, _) = client
        .authorize_url(|| CsrfToken::new(state))
        .add_scopes(scopes.iter().map(|s| Scope::new(s.to_owned())))
        .set_pkce_challenge(challenge)
        .url();
    Ok(AuthorizationRequest { url, code_verifier: Secret::new(verifier.into_secret()) })
}

pub(super) async fn exchange_code(
    instance: &Instance,
    endpoints: Endpoints,
    code: &Secret,
    code_verifier: &Secret,
    now: OffsetDateTime,
) -> Result<Grant, ExchangeError> {
    let client = client(instance, endpoints)?;
    let wire = Wire { instance, keep: &KeepNothing };
    let answer = client
        .exchange_code(AuthorizationCode::new(code.expose().to_owned()))
        .set_pkce_verifier(PkceCodeVerifier::new(code_verifier.expose().to_owned()))
        .request_async(&wire)
        .await;
    Ok(grant(&answer.map_err(|e| exchange_error(&e, &instance.base_url))?, now))
}

/// What the answer to a refresh holds.
pub(super) enum Refreshed {
    Whole(Grant),
    /// The answer broke off before its refresh token, which exists nowhere else.
    WithoutRefreshToken(Grant),
    /// No access token that can be used, but a refresh token that brings one.
    RefreshTokenAlone(Secret),
}

pub(super) async fn refresh(
    instance: &Instance,
    endpoints: Endpoints,
    refresh_token: &Secret,
    keep: &dyn KeepAnswer,
    now: OffsetDateTime,
) -> Result<Refreshed, RenewError> {
    let misconfigured = |e: ExchangeError| RenewError::Misconfigured { message: e.to_string() };
    let client = client(instance, endpoints).map_err(misconfigured)?;
    let wire = Wire { instance, keep };
    let token = RefreshToken::new(refresh_token.expose().to_owned());
    match client.exchange_refresh_token(&token).request_async(&wire).await {
        Ok(answer) => Ok(Refreshed::Whole(grant(&answer, now))),
        Err(RequestTokenError::Request(WireError::Part(part))) => Ok(refreshed_in_part(part, now)),
        Err(error) => Err(renew_error(&error, &instance.base_url)),
    }
}

/// The grant in the body of an answer that was kept, if there is one.
pub(super) fn read_refreshed(body: &[u8], now: OffsetDateTime) -> Option<Refreshed> {
    match granted_in(body)? {
        answer::Granted::Whole(fields) => {
            Some(Refreshed::Whole(grant(&serde_json::from_value(fields.into()).ok()?, now)))
        }
        answer::Granted::Part(part) => Some(refreshed_in_part(part, now)),
    }
}

fn refreshed_in_part(part: Part, now: OffsetDateTime) -> Refreshed {
    match part {
        Part::Access(answer) => Refreshed::WithoutRefreshToken(grant(&answer, now)),
        Part::Refresh(token) => Refreshed::RefreshTokenAlone(token),
    }
}

/// RFC 7009 section 2. The crate is not asked: it refuses an integration on plain HTTP.
pub(super) async fn revoke(
    instance: &Instance,
    endpoints: Endpoints,
    token: &Secret,
) -> Result<(), RevokeError> {
    let later = |message| RevokeError::Unavailable { message, retry_after: None };
    let application = application(instance).map_err(|e| later(e.to_string()))?;
    let form = [
        ("client_id", application.client_id.as_str()),
        ("client_secret", application.client_secret.expose()),
        ("token", token.expose()),
        ("token_type_hint", "refresh_token"),
    ];
    let host = instance.base_url.host();
    let request =
        instance.http.request(Method::POST, instance.base_url.join(endpoints.revoke)).form(&form).build();
    let request = request.map_err(|_| later("The request could not be built.".into()))?;
    let answer = instance.send(request, ANSWER_LIMIT).await.map_err(|e| later(told(&e, host)))?;
    if answer.status.is_success() {
        return Ok(());
    }
    if refuses_the_token(&answer) {
        let message = format!("{host} does not let our OAuth application revoke this token.");
        return Err(RevokeError::Refused { message });
    }
    Err(RevokeError::Unavailable {
        message: format!("{host} answered {}.", answer.status.as_u16()),
        retry_after: answer.retry_after(),
    })
}

/// Whether no later attempt can do better. Only the endpoint's own JSON says so: what a proxy answers, or an
/// application that is not accepted now, may be mended by the next attempt.
fn refuses_the_token(answer: &Answer) -> bool {
    let fields = read_object(&answer.body);
    let error = fields.as_ref().and_then(|f| f.get("error")?.as_str());
    match (answer.status, error) {
        (StatusCode::FORBIDDEN, Some("unauthorized_client")) => true,
        (StatusCode::BAD_REQUEST, Some(error)) => error != "invalid_client",
        _ => false,
    }
}

fn application(instance: &Instance) -> Result<&OAuthApplication, ExchangeError> {
    instance.application.as_ref().ok_or(ExchangeError::NoApplication)
}

/// Client credentials go in the body alone: newer Doorkeeper refuses two methods at once.
fn client(instance: &Instance, endpoints: Endpoints) -> Result<Client, ExchangeError> {
    let application = application(instance)?;
    let url = |path| instance.base_url.join(path);
    Ok(BasicClient::new(ClientId::new(application.client_id.clone()))
        .set_client_secret(ClientSecret::new(application.client_secret.expose().to_owned()))
        .set_auth_uri(AuthUrl::from_url(url(endpoints.authorize)))
        .set_token_uri(TokenUrl::from_url(url(endpoints.token)))
        .set_redirect_uri(redirect_url(application))
        .set_auth_type(AuthType::RequestBody))
}

fn redirect_url(application: &OAuthApplication) -> RedirectUrl {
    RedirectUrl::new(application.redirect_uri.clone()).expect("the site URL was parsed at start")
}

/// Takes over a grant, whose access token was found fit to be sent.
fn grant(answer: &BasicTokenResponse, now: OffsetDateTime) -> Grant {
    Grant {
        access_token: Secret::new(answer.access_token().secret().clone()),
        refresh_token: answer.refresh_token().map(|t| Secret::new(t.secret().clone())),
        expires_at: now + answer.expires_in().unwrap_or(ASSUMED_LIFE),
        scopes: answer.scopes().map(|scopes| scopes.iter().map(|s| s.as_str()).collect()),
    }
}

/// Never formats the error with `{:?}`: a parse error holds the whole body.
fn renew_error(error: &TokenError, base_url: &BaseUrl) -> RenewError {
    let host = base_url.host();
    match error {
        RequestTokenError::ServerResponse(answer) => match answer.error() {
            BasicErrorResponseType::InvalidGrant => RenewError::Rejected,
            BasicErrorResponseType::Extension(_) => RenewError::Unavailable {
                trouble: Trouble::Instance,
                message: format!("{host} answered with an error that is not in the OAuth standard."),
                retry_after: None,
            },
            code => RenewError::Misconfigured { message: misconfigured(code.as_ref(), host) },
        },
        RequestTokenError::Request(WireError::Outbound(e)) if e.was_sent() == Sent::No => {
            RenewError::Unavailable { trouble: Trouble::NotSent, message: told(e, host), retry_after: None }
        }
        RequestTokenError::Request(WireError::Outbound(e)) => {
            RenewError::Uncertain { message: told(e, host), partial: None }
        }
        RequestTokenError::Request(WireError::Status { status, retry_after }) => RenewError::Unavailable {
            trouble: trouble_of(*status, retry_after.is_some()),
            message: format!("{host} answered {}.", status.as_u16()),
            retry_after: *retry_after,
        },
        RequestTokenError::Request(WireError::Request) => {
            RenewError::Misconfigured { message: "The request to the provider could not be built.".into() }
        }
        RequestTokenError::Request(WireError::Unreadable | WireError::Part(_))
        | RequestTokenError::Parse(..)
        | RequestTokenError::Other(_) => {
            RenewError::Uncertain { message: unreadable(base_url), partial: None }
        }
    }
}

fn trouble_of(status: StatusCode, says_when: bool) -> Trouble {
    match status {
        StatusCode::TOO_MANY_REQUESTS => Trouble::RateLimited,
        StatusCode::SERVICE_UNAVAILABLE if says_when => Trouble::RateLimited,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => Trouble::ServerError,
        status if status.is_server_error() => Trouble::ServerError,
        _ => Trouble::Instance,
    }
}

fn exchange_error(error: &TokenError, base_url: &BaseUrl) -> ExchangeError {
    match renew_error(error, base_url) {
        RenewError::Rejected => ExchangeError::Rejected,
        RenewError::Misconfigured { message } => ExchangeError::Misconfigured { message },
        other => ExchangeError::Unavailable { message: other.to_string() },
    }
}

fn misconfigured(code: &str, host: &str) -> String {
    match code {
        "invalid_client" | "unauthorized_client" => format!(
            "{host} does not accept our OAuth application: its client id or client secret is wrong or was replaced. \
             The operator must correct it."
        ),
        "invalid_scope" => {
            format!("The OAuth application at {host} does not have the scopes that were asked for.")
        }
        _ => format!("{host} did not accept the request of our OAuth application ({code})."),
    }
}

fn unreadable(base_url: &BaseUrl) -> String {
    format!("The answer of {} was not understood.", base_url.host())
}

fn told(error: &OutboundError, host: &str) -> String {
    format!("{host} could not be reached ({}): {error}.", error.step())
}
