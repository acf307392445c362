//! The HTML pages: consent, error, and the two that send the browser on without a 302.

use std::fmt::Write as _;

use url::Url;

use super::authorize::{Asked, Request};
use crate::world::{UserId, World};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;background:#f4f3f7;color:#28272d;margin:0}\
main{max-width:30rem;margin:8vh auto;background:#fff;border:1px solid #dcdcde;border-radius:8px;padding:2rem}\
h1{font-size:1.3rem;margin-top:0}ul{padding-left:1.2rem}code{background:#ececef;padding:.1em .35em;border-radius:4px}\
select,button{font:inherit;padding:.5rem .9rem;border-radius:4px;border:1px solid #89888d;background:#fff}\
button.yes{background:#1f75cb;border-color:#1f75cb;color:#fff}.row{display:flex;gap:.6rem;margin-top:1.5rem}\
small{color:#626168}";

/// The consent page: who asks, for what, and as whom.
pub(crate) fn consent(world: &World, asked: &Asked, request: &Request<'_>, user: UserId) -> String {
    let name = escape(&request.application.name);
    let mut scopes = String::new();
    for scope in &request.scopes {
        let _ = write!(scopes, "<li><code>{}</code> {}</li>", escape(scope), meaning(scope));
    }
    let mut hidden = String::new();
    for (key, value) in asked.pairs() {
        let (key, value) = (escape(key), escape(value));
        let _ = write!(hidden, "<input type=\"hidden\" name=\"{key}\" value=\"{value}\">");
    }
    let mut people = String::new();
    for person in world.humans() {
        let chosen = if person.id == user { " selected" } else { "" };
        let (id, name, username) = (person.id, escape(&person.name), escape(&person.username));
        let _ = write!(people, "<option value=\"{id}\"{chosen}>{name} (@{username})</option>");
    }
    let action = format!("{}/oauth/authorize", world.options.base_path);
    let body = format!(
        "<h1>Authorize {name} to use your account?</h1>\
         <p>An application called <strong>{name}</strong> is requesting access to your GitLab account. \
         It will be able to:</p><ul>{scopes}</ul>\
         <form method=\"post\" action=\"{action}\">{hidden}\
         <label>Signed in as <select name=\"user\">{people}</select></label>\
         <div class=\"row\"><button class=\"yes\" type=\"submit\" id=\"authorize\">Authorize</button>\
         <button type=\"submit\" name=\"_method\" value=\"delete\" id=\"cancel\">Cancel</button></div></form>\
         <p><small>This is a simulated GitLab. It keeps everything in memory.</small></p>"
    );
    page("Authorize application", &body)
}

/// The page of a request that cannot be answered by a redirect.
pub(crate) fn error(problem: &str) -> String {
    page("Error", &format!("<h1>An error has occurred</h1><pre>{}</pre>", escape(problem)))
}

/// What a trusted application's user gets: no consent, but no 302 either.
pub(crate) fn script_redirect(location: &str) -> String {
    let quoted = serde_json::to_string(location).expect("text is JSON").replace('<', "\\u003c");
    let link = escape(location);
    let body = format!(
        "<p>Redirecting to <a href=\"{link}\">the application</a>…</p>\
         <script>window.location.replace({quoted});</script>"
    );
    page("Redirecting", &body)
}

/// `response_mode=form_post`: the parameters travel in a form that posts itself.
pub(crate) fn form_post(location: &str) -> String {
    let Ok(mut url) = Url::parse(location) else { return error("The redirect URI included is not valid.") };
    let mut inputs = String::new();
    for (name, value) in url.query_pairs() {
        let (name, value) = (escape(&name), escape(&value));
        let _ = write!(inputs, "<input type=\"hidden\" name=\"{name}\" value=\"{value}\">");
    }
    url.set_query(None);
    let action = escape(url.as_str());
    let body = format!(
        "<form method=\"post\" action=\"{action}\">{inputs}<button>Continue</button></form>\
         <script>document.forms[0].submit();</script>"
    );
    page("Redirecting", &body)
}

/// The page at the root: enough to see that it runs.
pub(crate) fn welcome(world: &World) -> String {
    let (links, version) = (escape(world.links()), world.options.version.number());
    let body = format!(
        "<h1>A GitLab that behaves</h1><p>This simulator plays GitLab {version} at <code>{links}</code>.</p>\
         <p><small>Everything is in memory and ends with the process.</small></p>"
    );
    page("Simulated GitLab", &body)
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title} · GitLab</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head>\
         <body><main>{body}</main></body></html>"
    )
}

fn meaning(scope: &str) -> &'static str {
    match scope {
        "api" => "read and write everything through the API",
        "read_api" => "read everything through the API",
        "read_user" => "read your personal information",
        "read_repository" => "read your repositories",
        "write_repository" => "read and write your repositories",
        _ => "",
    }
}

fn escape(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    escaped.replace('"', "&quot;").replace('\'', "&#39;")
}
