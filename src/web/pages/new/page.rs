//! The form as it is shown, fresh or with what was sent and refused.

use crate::{
    domain::{BaseUrl, Scopes, TokenKind},
    web::{
        pages::{
            Frame,
            needs::{Needs, UseCaseView},
            places::{ApplicationView, LinksView, PlaceView},
            preflight::PreflightView,
            refusal::Refusal,
            settings::in_order,
            submitted::{SELF_HOSTED, Submitted},
        },
        session::SignedIn,
        state::AppState,
    },
};
use askama::Template;

#[derive(Template)]
#[template(path = "new.html")]
#[expect(clippy::struct_excessive_bools, reason = "each of them decides a part of the page")]
pub(super) struct NewPage {
    frame: Frame,
    pub(super) refusal: Option<Refusal>,
    places: Vec<PlaceView>,
    applications: Vec<ApplicationView>,
    /// What an application must be allowed, so that every use case can be asked for.
    application_scopes: Vec<String>,
    takes_typed: bool,
    is_typed: bool,
    base_url: String,
    /// What was found at it, where a connect was refused because of that.
    pub(super) preflight: Option<PreflightView>,
    /// Paths alone: the script puts the typed base URL before them.
    typed_links: LinksView,
    /// Of the chosen place.
    links: LinksView,
    name: String,
    use_cases: Vec<UseCaseView>,
    needs: Needs,
    has_oauth: bool,
    rotates_itself: bool,
}

impl NewPage {
    fn error(&self, field: &str) -> Option<&str> {
        self.refusal.as_ref().and_then(|r| r.field(field))
    }
}

pub(super) fn page(
    state: &AppState,
    who: &SignedIn,
    submitted: &Submitted,
    refusal: Option<Refusal>,
) -> NewPage {
    let instances = &state.instances;
    NewPage {
        frame: Frame::of(Some(who), "connections"),
        refusal,
        places: in_order(instances).map(|i| PlaceView::of(state, i, &submitted.integration)).collect(),
        applications: in_order(instances).map(|i| ApplicationView::of(state, i)).collect(),
        application_scopes: application_scopes(state).to_vec(),
        takes_typed: instances.takes_typed(),
        is_typed: submitted.integration == SELF_HOSTED,
        base_url: submitted.base_url.clone(),
        preflight: None,
        typed_links: LinksView::paths(state),
        links: links(state, submitted),
        name: submitted.name.clone(),
        use_cases: state.use_cases.iter().map(|u| UseCaseView::of(u, &submitted.use_cases)).collect(),
        needs: needs(state, submitted),
        has_oauth: instances.integrations().any(|i| i.application.is_some()),
        rotates_itself: submitted.rotates_itself,
    }
}

/// Without a use case OAuth asks for what the operator set.
fn needs(state: &AppState, submitted: &Submitted) -> Needs {
    let mut needs = Needs::of(&state.use_cases, &submitted.use_cases);
    let application =
        state.instances.integration(&submitted.integration).and_then(|i| i.application.as_ref());
    if let (true, Some(application)) = (needs.oauth.scopes.is_empty(), application) {
        needs.oauth.scopes = application.scopes.to_vec();
    }
    needs
}

fn application_scopes(state: &AppState) -> Scopes {
    let ids: Vec<_> = state.use_cases.iter().map(|u| u.id.clone()).collect();
    let defaults = state.instances.integrations().filter_map(|i| i.application.as_ref());
    defaults.fold(state.use_cases.scopes_for(&ids, TokenKind::OAuth), |all, a| all.union(&a.scopes))
}

pub(super) fn links(state: &AppState, submitted: &Submitted) -> LinksView {
    place_of(state, submitted).map(|url| LinksView::filled(state, &url, submitted)).unwrap_or_default()
}

fn place_of(state: &AppState, submitted: &Submitted) -> Option<BaseUrl> {
    if submitted.integration == SELF_HOSTED {
        return BaseUrl::parse_typed(&submitted.base_url).ok();
    }
    state.instances.integration(&submitted.integration).map(|i| i.base_url.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{connect::ConnectError, domain::UseCases};

    fn links() -> LinksView {
        LinksView { personal: "https://gitlab.com/form?name=a".into(), ..LinksView::default() }
    }

    fn sample(refusal: Option<Refusal>) -> String {
        let (chosen, all) = (["secret-sync".to_owned()], UseCases::shipped());
        let page = NewPage {
            frame: Frame::sample(),
            refusal,
            places: vec![PlaceView {
                id: "gitlab".into(),
                title: "GitLab.com".into(),
                base_url: "https://gitlab.com".into(),
                has_oauth: true,
                default_scopes: "api".into(),
                chosen: true,
                links: links(),
            }],
            applications: vec![ApplicationView {
                id: "gitlab".into(),
                title: "GitLab.com".into(),
                base_url: "https://gitlab.com".into(),
                redirect_uri: "https://m.example.com/oauth/gitlab/callback".into(),
                has_oauth: true,
                form: "https://gitlab.com/-/user_settings/applications".into(),
                prefix: "MOORING_GITLAB".into(),
            }],
            application_scopes: vec!["api".into()],
            takes_typed: true,
            is_typed: false,
            base_url: String::new(),
            preflight: None,
            typed_links: LinksView::default(),
            links: links(),
            name: "acme <1>".into(),
            use_cases: all.iter().map(|u| UseCaseView::of(u, &chosen)).collect(),
            needs: Needs::of(&all, &chosen),
            has_oauth: true,
            rotates_itself: false,
        };
        page.render().unwrap()
    }

    #[test]
    fn each_field_and_button_is_there_once() {
        let html = sample(None);
        for words in [
            ">Name</label>",
            ">Access token</label>",
            ">Base URL</label>",
            ">Connect to GitLab</button>",
            ">Connect</button>",
            "Self-hosted / GitLab Enterprise",
        ] {
            assert_eq!(html.matches(words).count(), 1, "{words}");
        }
        assert!(html.contains("Project access token: role Owner"));
        assert!(
            html.contains("data-role=\"project\">Owner<") && html.contains("data-role=\"group\">Maintainer<")
        );
        assert!(html.contains("https://m.example.com/oauth/gitlab/callback"));
        assert!(html.contains("MOORING_GITLAB_OAUTH_CLIENT_SECRET"));
        let switch = html.split("name=\"self_rotate\"").nth(1).unwrap().split('>').next().unwrap();
        assert!(!switch.contains("checked"), "a token rotates itself by choice alone");
    }

    #[test]
    fn a_refused_form_comes_back_filled_in_and_without_the_token() {
        let html = sample(Some(Refusal::of(&ConnectError::NameTaken("acme".into()))));
        assert!(html.contains("value=\"acme &#60;1&#62;\"") && html.contains("That name is taken"));
        assert!(
            html.contains("aria-describedby=\"name-hint name-error\"")
                && html.contains("aria-invalid=\"true\"")
        );
        let token = html.split("id=\"token\"").nth(1).unwrap().split('>').next().unwrap();
        assert!(!token.contains("value="));
    }
}
