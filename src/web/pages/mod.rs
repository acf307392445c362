//! The pages: server-rendered HTML that works without script.
//!
//! Handlers are thin: extract, one verb, respond. Wording is in `templates/`, decisions are in Rust, and a
//! page's struct has the fields that it shows. Every change is a POST, which only this site may send.

mod act;
mod agent;
mod audit;
mod browser;
mod callback;
mod chart;
mod checks;
mod connect_session;
mod connection;
mod disconnect;
mod edit;
mod edit_form;
mod expired;
mod export;
mod form;
mod gate;
mod guesses;
mod head;
mod history;
mod inspect;
mod invite;
mod list;
mod live;
mod login;
mod moment;
mod needs;
mod new;
mod outcome;
mod places;
mod preflight;
pub mod problem;
mod reach;
mod refusal;
mod renewal;
mod rotate;
mod settings;
mod setup;
mod snippets;
mod sso;
mod submitted;
mod timeline;
mod usage;
mod words;

use super::{
    follow,
    session::{self, SignedIn},
    state::AppState,
};
use askama::Template;
use axum::{
    Extension, Router,
    extract::Request,
    http::StatusCode,
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use problem::Failure;
use tower_http::{catch_panic::CatchPanicLayer, csrf::CsrfLayer};

/// Every page. Has the fallback for unknown addresses, which answers with a page.
pub fn router(state: &AppState) -> Router<AppState> {
    let same_site = CsrfLayer::new().add_trusted_origin(&state.site_url).expect("the site URL is an origin");
    Router::new()
        .route("/", get(list::show))
        .route("/live", get(follow::follow))
        .route("/live/rows", get(list::rows))
        .route("/live/summary", get(list::summary))
        .route("/connections", post(new::connect).get(list::moved))
        .route("/connections/new", get(new::show))
        .route("/connections/authorize", post(new::authorize))
        .route("/connections/inspect", post(inspect::inspect))
        .route("/connections/preflight", post(preflight::look))
        .route("/connections/{id}", get(connection::show))
        .route("/connections/{id}/live", get(connection::live))
        .route("/connections/{id}/check", post(act::check))
        .route("/connections/{id}/take-back", post(act::take_back))
        .route("/connections/{id}/reauthorize", post(act::reauthorize))
        .route("/connections/{id}/reach", get(reach::show))
        .route("/connections/{id}/history", get(history::show))
        .route("/connections/{id}/usage", get(usage::show))
        .route("/connections/{id}/use", get(snippets::show))
        .route("/connections/{id}/edit", get(edit::show).post(edit::edit))
        .route("/connections/{id}/renewal", post(renewal::choose))
        .route("/connections/{id}/rotate", get(rotate::show).post(rotate::rotate))
        .route("/connections/{id}/disconnect", get(disconnect::show).post(disconnect::disconnect))
        .route("/oauth/{integration}/callback", get(callback::finish))
        .route("/oauth/{integration}/outcome/{state}", get(outcome::show))
        .route("/connect/{link}", get(connect_session::show).post(connect_session::paste))
        .route("/connect/{link}/authorize", post(connect_session::authorize))
        .route("/connect/{link}/decline", post(connect_session::decline))
        .route("/login", get(login::show).post(login::sign_in))
        .route("/login/sso", post(sso::begin))
        .route("/login/sso/callback", get(sso::finish))
        .route("/logout", post(login::sign_out))
        .route("/setup", get(setup::show).post(setup::finish))
        .route("/invite", get(invite::show).post(invite::accept))
        .route("/audit", get(audit::show))
        .route("/audit/export", post(export::export))
        .merge(settings::router())
        .route_layer(middleware::from_fn_with_state(state.clone(), gate::gate))
        .fallback(async || Failure::not_found())
        .layer(Extension(guesses::Guesses::default()))
        .layer(Extension(preflight::Looks::default()))
        .layer(middleware::from_fn(refuse_null))
        .layer(same_site)
        .layer(CatchPanicLayer::new())
        .layer(middleware::from_fn_with_state(state.clone(), problem::write))
        .layer(session::layer(state))
}

/// An address with a null character leads nowhere. What an authorization server sends back reads its query itself.
async fn refuse_null(request: Request, next: Next) -> Response {
    let uri = request.uri();
    let holds_null = |text: &str| text.contains("%00");
    if holds_null(uri.path()) {
        return Failure::not_found().into_response();
    }
    let reads_itself = uri.path().starts_with("/oauth/") || uri.path() == "/login/sso/callback";
    if uri.query().is_some_and(holds_null) && !reads_itself {
        return form::null_character(StatusCode::BAD_REQUEST).into_response();
    }
    next.run(request).await
}

/// What stands around every page.
struct Frame {
    /// The e-mail of the operator who is signed in.
    operator: Option<String>,
    /// Which entry of the navigation this page belongs to.
    here: &'static str,
    /// Whether the operator may change what everybody shares. Who may not is shown no form that does.
    may_change: bool,
    /// Which entry of the navigation at the side of the settings.
    section: &'static str,
}

impl Frame {
    fn of(who: Option<&SignedIn>, here: &'static str) -> Self {
        let may_change = who.is_none_or(|who| who.operator.role.may_change());
        Self { operator: who.map(|w| w.operator.email.clone()), here, may_change, section: "" }
    }

    fn signed_out() -> Self {
        Self::of(None, "")
    }

    #[cfg(test)]
    fn sample() -> Self {
        Self { operator: Some("ada@example.com".into()), here: "connections", may_change: true, section: "" }
    }
}

/// A rendered page with its status.
struct Page<T>(StatusCode, T);

impl<T: Template> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        match self.1.render() {
            Ok(html) => (self.0, Html(html)).into_response(),
            Err(error) => Failure::internal(&error).into_response(),
        }
    }
}

fn ok<T: Template>(page: T) -> Response {
    Page(StatusCode::OK, page).into_response()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
