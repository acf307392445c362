//! A caller sends its request through here and never sees the credential that goes with it.
//!
//! The request goes to the connection's own base URL and nowhere else, with the caller's credentials taken off and the
//! provider's put on; the answer comes back as it is, with the provider's credentials taken off. Bodies stream both
//! ways. If the provider refuses the credential, the request is sent once more with a newer one, where there is a newer
//! one and the request can be sent again.

mod body;
mod headers;
mod lfs;
mod narrow;
mod rewrite;
mod target;

pub use crate::outbound::{BodyError, Chunks, Streamed};

use crate::{
    domain::{Caller, Connection},
    handout::{self, HandedOut, Handout, HandoutError},
    outbound::OutboundError,
    providers::{Instance, Instances, Provider, UnknownInstance},
};
use body::Outgoing;
use http::{
    HeaderMap, Method, StatusCode,
    header::{AUTHORIZATION, CONTENT_LENGTH, UPGRADE},
};
use rewrite::Rewrite;
use target::Target;
use time::Duration;
use url::Url;

/// A token that ends sooner is renewed first: an upload may take a while to arrive.
const MIN_TTL: Duration = Duration::seconds(60);

/// Sends requests on.
#[derive(Clone)]
pub struct Proxy {
    pub handout: Handout,
    pub provider: Provider,
    pub instances: Instances,
}

/// A request as the caller sent it.
pub struct Ask<'a> {
    /// A connection's id or name.
    pub reference: &'a str,
    /// The raw path below the connection, percent-encoded as it came, without a leading slash.
    pub path: &'a str,
    pub query: Option<&'a str>,
    pub method: Method,
    pub headers: HeaderMap,
    /// `None`: the request has none.
    pub body: Option<Chunks>,
    /// This proxy's address of the connection, without a trailing slash: what addresses in the answer become.
    pub proxy_url: &'a str,
}

#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    #[error(transparent)]
    Handout(#[from] HandoutError),
    #[error(transparent)]
    Instance(#[from] UnknownInstance),
    #[error(
        "The path has . or .. in it, or characters that must be percent-encoded. Send it as the provider documents it."
    )]
    Path,
    #[error(
        "A credential stands in the query. Send your API key as Authorization: Bearer, PRIVATE-TOKEN or Basic password, and no other credential."
    )]
    CredentialInQuery,
    #[error(
        "This could replace or revoke the very token that Mooring keeps. Rotate or disconnect the connection in Mooring instead."
    )]
    OwnCredential,
    #[error("This API key may not send this request. It may send: {0}.")]
    NotAllowed(String),
    #[error(
        "A form can name another method in itself (_method), and this API key may not send that one. Send JSON, or use a key that may send every method to this path."
    )]
    Disguised,
    #[error("The proxy does not switch protocols. Send plain HTTP requests.")]
    Upgrade,
    #[error("The proxy does not take this method.")]
    Method,
    #[error("The request's body broke off.")]
    Body,
    #[error("{0}")]
    Unreachable(#[from] OutboundError),
}

impl Proxy {
    /// Sends a request on with the connection's credential, and gives the beginning of the answer.
    pub async fn forward(&self, caller: &Caller, ask: Ask<'_>) -> Result<Streamed, ProxyError> {
        refuse_what_is_no_message(&ask)?;
        let target = Target::checked(ask.path, ask.query)?;
        if self.provider.api().endangers_own_token(&ask.method, ask.path) {
            return Err(ProxyError::OwnCredential);
        }
        narrow::refuse(caller, &ask)?;
        // Before the token: a body may take its time to come.
        let body = Outgoing::read(ask.body, announced(&ask.headers)).await?;
        narrow::refuse_disguised(caller, (&ask.method, ask.path), &ask.headers, &body)?;
        let handed = self.handout.hand_out(caller, token(ask.reference, None)).await?;
        let connection = &handed.held.connection;
        let instance = self.instances.of(connection)?;
        let url = target.below(&connection.base_url);
        let mut headers = headers::upstream(ask.headers);
        if lfs::is_batch(&ask.method, ask.path) {
            lfs::ask_plainly(&mut headers);
        }
        let request = Upstream { proxy: self, instance, url, method: ask.method, path: ask.path, headers };
        let again = body.again();
        let mut answer = request.send(&handed, body).await?;
        let mut sent_with = handed;
        if answer.status == StatusCode::UNAUTHORIZED
            && let Some(body) = again
            && let Some(newer) = self.newer(caller, &sent_with).await
        {
            answer = request.send(&newer, body).await?;
            sent_with = newer;
        }
        Ok(request.cleaned(answer, &sent_with, ask.proxy_url).await)
    }

    /// A newer credential than one that the provider refused. `None`: there is none, and the refusal stands.
    /// By id: the name may have become another connection's meanwhile.
    async fn newer(&self, caller: &Caller, refused: &HandedOut) -> Option<HandedOut> {
        let id = refused.held.connection.id;
        let generation = |handed: &HandedOut| handed.held.connection.credential.generation;
        let reference = id.to_string();
        let asked = token(&reference, Some(generation(refused)));
        let handed = self.handout.hand_out(caller, asked).await.ok()?;
        let is_newer = handed.held.connection.id == id && generation(&handed) > generation(refused);
        is_newer.then_some(handed)
    }
}

fn token(reference: &str, newer_than: Option<i64>) -> handout::Ask<'_> {
    handout::Ask { reference, tenant: None, min_ttl: MIN_TTL, newer_than }
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// `h2c` may be offered and ignored (RFC 9110 section 7.8); whoever asks for anything else would wait in vain.
fn refuse_what_is_no_message(ask: &Ask<'_>) -> Result<(), ProxyError> {
    if ask.method == Method::CONNECT || ask.method == Method::TRACE {
        return Err(ProxyError::Method);
    }
    match ask.headers.get(UPGRADE) {
        Some(protocol) if !protocol.as_bytes().eq_ignore_ascii_case(b"h2c") => Err(ProxyError::Upgrade),
        _ => Ok(()),
    }
}

/// A request on its way to the provider.
struct Upstream<'a> {
    proxy: &'a Proxy,
    instance: Instance,
    url: Url,
    method: Method,
    path: &'a str,
    headers: HeaderMap,
}

impl Upstream<'_> {
    async fn send(&self, handed: &HandedOut, body: Outgoing) -> Result<Streamed, ProxyError> {
        let mut request = reqwest::Request::new(self.method.clone(), self.url.clone());
        *request.headers_mut() = self.headers.clone();
        let token = &handed.held.credential.access_token;
        let credential = self.proxy.provider.api().authorization(self.path, token);
        request.headers_mut().insert(AUTHORIZATION, credential);
        let streamed = match body {
            Outgoing::None => None,
            Outgoing::Kept(bytes) => {
                *request.body_mut() = Some(bytes.into());
                None
            }
            Outgoing::Streamed(body) => Some(body),
        };
        let answered = self.instance.http.stream(request, streamed).await;
        if let Err(error) = &answered {
            let host = self.instance.base_url.host();
            tracing::warn!(host, step = error.step(), %error, cause = error.detail(), "a proxied request failed");
        }
        Ok(answered?)
    }

    async fn cleaned(&self, answer: Streamed, handed: &HandedOut, proxy_url: &str) -> Streamed {
        let Connection { base_url, .. } = &handed.held.connection;
        let rewrite = Rewrite { base_url, asked: &self.url, proxy_url };
        let token = &handed.held.credential.access_token;
        let sent = self.proxy.provider.api().authorization(self.path, token);
        let answer =
            Streamed { headers: headers::downstream(answer.headers, (token, &sent), &rewrite), ..answer };
        if lfs::is_batch(&self.method, self.path) {
            return lfs::rewritten(answer, token, &rewrite).await;
        }
        answer
    }
}
