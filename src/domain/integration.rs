//! One installation of a provider, and our registration there.

use super::{BaseUrl, Scopes, Secret};

/// Our registration at an integration (RFC 6749 section 2).
#[derive(Clone, Debug)]
pub struct OAuthApplication {
    pub client_id: String,
    pub client_secret: Secret,
    /// Built from the site URL alone and sent byte for byte in both requests.
    pub redirect_uri: String,
    /// Asked for when no use case says more.
    pub scopes: Scopes,
}

/// One installation that the operator configured.
#[derive(Clone, Debug)]
pub struct Integration {
    pub id: String,
    pub provider: String,
    pub base_url: BaseUrl,
    /// `None`: this integration takes access tokens only.
    pub application: Option<OAuthApplication>,
    /// Where a browser would be sent back to, with or without an application.
    pub redirect_uri: String,
}
