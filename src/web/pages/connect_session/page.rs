//! The page behind a connect session's link, as it is shown: what is asked for, and the ways to give it.

use super::Visit;
use crate::{
    domain::{BaseUrl, ConnectSession, Integration, Method, TokenKind, UseCase},
    web::{
        pages::{Frame, form::Form, refusal::Refusal, settings::in_order, submitted::SELF_HOSTED},
        state::AppState,
    },
};
use askama::Template;
use url::Url;

#[derive(Template)]
#[template(path = "connect_session.html")]
pub(super) struct SessionPage {
    frame: Frame,
    link: String,
    /// The product, by the host that the browser goes back to.
    product: String,
    is_reconnect: bool,
    use_cases: Vec<UseCaseView>,
    oauth: Vec<Place>,
    pasted: Vec<Place>,
    takes_typed: bool,
    base_url: String,
    refusal: Option<Refusal>,
}

struct UseCaseView {
    title: String,
    scopes: String,
}

/// One GitLab to choose.
struct Place {
    id: String,
    base_url: String,
    token_form: String,
    is_chosen: bool,
}

pub(super) fn page(state: &AppState, visit: &Visit, form: &Form, refusal: Option<Refusal>) -> SessionPage {
    let session = &visit.session;
    let may = |method| session.methods.contains(&method);
    let mut page = SessionPage {
        frame: Frame::signed_out(),
        link: visit.link.clone(),
        product: product(session),
        is_reconnect: session.connection.is_some(),
        use_cases: use_cases(state, session),
        oauth: if may(Method::OAuth) { places(state, session, true) } else { vec![] },
        pasted: if may(Method::AccessToken) { pasted(state, visit) } else { vec![] },
        takes_typed: may(Method::AccessToken) && visit.takes_typed() && state.instances.takes_typed(),
        base_url: form.text("base_url").to_owned(),
        refusal,
    };
    choose(&mut page.oauth, form.text("integration"));
    choose(&mut page.pasted, form.text("integration"));
    page
}

/// Where a token may be from. A connection without an integration stays at its own address.
fn pasted(state: &AppState, visit: &Visit) -> Vec<Place> {
    match &visit.was {
        Some(was) if was.integration.is_none() => vec![place(state, &visit.session, "", &was.base_url)],
        _ => places(state, &visit.session, false),
    }
}

fn places(state: &AppState, session: &ConnectSession, with_application: bool) -> Vec<Place> {
    let is_meant = |one: &&Integration| session.integration.as_deref().is_none_or(|wanted| wanted == one.id);
    in_order(&state.instances)
        .filter(is_meant)
        .filter(|one| !with_application || one.application.is_some())
        .map(|one| place(state, session, &one.id, &one.base_url))
        .collect()
}

fn place(state: &AppState, session: &ConnectSession, id: &str, base_url: &BaseUrl) -> Place {
    let kind = TokenKind::Personal;
    let scopes = state.use_cases.scopes_for(&session.use_cases, kind);
    Place {
        id: id.to_owned(),
        base_url: base_url.as_str().to_owned(),
        token_form: state.provider.api().token_form_url(base_url, kind, "mooring", &scopes),
        is_chosen: false,
    }
}

fn choose(places: &mut [Place], wanted: &str) {
    let at = places.iter().position(|place| place.id == wanted).unwrap_or(0);
    if let Some(place) = places.get_mut(at).filter(|_| wanted != SELF_HOSTED) {
        place.is_chosen = true;
    }
}

fn use_cases(state: &AppState, session: &ConnectSession) -> Vec<UseCaseView> {
    let view = |one: &UseCase| {
        let scopes = state.use_cases.scopes_for(std::slice::from_ref(&one.id), TokenKind::Personal);
        UseCaseView { title: one.title.clone(), scopes: scopes.to_vec().join(", ") }
    };
    session.use_cases.iter().filter_map(|id| state.use_cases.get(id)).map(view).collect()
}

/// The product, by the host that the browser goes back to.
pub(super) fn product(session: &ConnectSession) -> String {
    let url = Url::parse(&session.return_url).ok();
    url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_who_asks_and_for_what() {
        let place = || Place {
            id: "gitlab".into(),
            base_url: "https://gitlab.com".into(),
            token_form: "https://gitlab.com/-/user_settings/personal_access_tokens".into(),
            is_chosen: true,
        };
        let page = SessionPage {
            frame: Frame::signed_out(),
            link: "ticket".into(),
            product: "app.example.com".into(),
            is_reconnect: false,
            use_cases: vec![UseCaseView { title: "Code review".into(), scopes: "api".into() }],
            oauth: vec![place()],
            pasted: vec![place()],
            takes_typed: true,
            base_url: "https://<x>".into(),
            refusal: None,
        };
        let html = page.render().unwrap();
        for words in
            ["app.example.com", "Code review", "Connect to GitLab", "Access token", "Base URL", "&#60;x&#62;"]
        {
            assert!(html.contains(words), "{words} is missing in {html}");
        }
    }
}
