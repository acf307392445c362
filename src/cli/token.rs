//! `mooring token`: a valid access token from a Mooring server, on standard output.

use super::{Failure, print};
use crate::{
    config::ClientConfig,
    domain::BaseUrl,
    outbound::{CaBundle, Outbound},
};
use anyhow::{Context, anyhow};
use http::Method;
use serde_json::Value;

pub(super) async fn print_token(connection: Option<String>) -> Result<(), Failure> {
    let config = ClientConfig::from_env()?;
    let Some(connection) = connection.or_else(|| config.connection.clone()) else {
        return Err(Failure::Usage(
            "Name a connection: mooring token CONNECTION, or set MOORING_CONNECTION.".into(),
        ));
    };
    let token = token(&config, &connection).await?;
    print(&token);
    Ok(())
}

async fn token(config: &ClientConfig, connection: &str) -> anyhow::Result<String> {
    let server = BaseUrl::parse_configured(&config.url).context("MOORING_URL")?;
    let http = Outbound::trusted(&CaBundle::default())?;
    let mut url = server.join("api/v1/connections");
    url.path_segments_mut().map_err(|()| anyhow!("MOORING_URL"))?.push(connection).push("token");
    let request = http.request(Method::GET, url).bearer_auth(config.api_key.expose()).build()?;
    let answer = http.send(request).await.with_context(|| format!("{server} could not be reached"))?;
    let body: Value = serde_json::from_slice(&answer.body).with_context(|| {
        format!("{server} is no Mooring server: it answered {} without JSON", answer.status)
    })?;
    let text = |key: &str| body.get(key).and_then(Value::as_str);
    if let Some(token) = text("access_token").filter(|_| answer.status.is_success()) {
        return Ok(token.to_owned());
    }
    let told = text("detail").unwrap_or("the answer holds no token");
    let mend = text("action_url").map(|url| format!(" See {url}")).unwrap_or_default();
    Err(anyhow!("{} ({}){mend}", told, text("code").unwrap_or(answer.status.as_str())))
}
