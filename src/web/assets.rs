//! The stylesheet, the scripts and the icon, embedded in the binary.
//!
//! Their addresses hold a hash of their content, so that browsers may keep them for good and an update
//! is seen at once.

use super::state::AppState;
use axum::{
    Router,
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use sha2::{Digest as _, Sha256};
use std::sync::LazyLock;

struct Asset {
    name: &'static str,
    mime: &'static str,
    body: &'static [u8],
}

const ASSETS: [Asset; 6] = [
    Asset { name: "app.css", mime: "text/css; charset=utf-8", body: include_bytes!("../../static/app.css") },
    Asset {
        name: "app.js",
        mime: "text/javascript; charset=utf-8",
        body: include_bytes!("../../static/app.js"),
    },
    Asset {
        name: "live.js",
        mime: "text/javascript; charset=utf-8",
        body: include_bytes!("../../static/live.js"),
    },
    Asset {
        name: "connect.js",
        mime: "text/javascript; charset=utf-8",
        body: include_bytes!("../../static/connect.js"),
    },
    Asset {
        name: "settings.js",
        mime: "text/javascript; charset=utf-8",
        body: include_bytes!("../../static/settings.js"),
    },
    Asset { name: "icon.svg", mime: "image/svg+xml", body: include_bytes!("../../static/icon.svg") },
];

static BY_URL: LazyLock<Vec<(String, &'static Asset)>> = LazyLock::new(|| {
    let url = |asset: &'static Asset| {
        let hash = BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(asset.body)[..9]);
        (format!("/assets/{hash}/{}", asset.name), asset)
    };
    ASSETS.iter().map(url).collect()
});

/// The address of an asset, for templates.
pub fn url(name: &str) -> &'static str {
    BY_URL.iter().find(|(_, asset)| asset.name == name).map_or("/assets/missing", |(url, _)| url)
}

pub fn router() -> Router<AppState> {
    Router::new().route("/assets/{hash}/{name}", get(serve)).route("/favicon.ico", get(favicon))
}

async fn serve(Path((hash, name)): Path<(String, String)>) -> Response {
    let wanted = format!("/assets/{hash}/{name}");
    match BY_URL.iter().find(|(url, _)| *url == wanted) {
        Some((_, asset)) => {
            let keep = "public, max-age=31536000, immutable";
            ([(header::CONTENT_TYPE, asset.mime), (header::CACHE_CONTROL, keep)], asset.body).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Browsers ask for it whatever a page says.
async fn favicon() -> Response {
    (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, url("icon.svg"))]).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_asset_has_an_address_of_its_own() {
        let all: std::collections::BTreeSet<_> = ASSETS.iter().map(|a| url(a.name)).collect();
        assert_eq!(all.len(), ASSETS.len());
        assert!(!all.contains("/assets/missing"));
    }
}
