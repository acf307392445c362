//! One authorization, step by step, for tests that put something between the steps.

use super::{
    app::TestApp,
    request::{Http, Reply},
};
use gitlab_sim::Sim;
use url::Url;

/// An authorization that a browser has begun.
pub(crate) struct Flow {
    /// Where the browser is sent: GitLab's consent page.
    pub(crate) authorize: Url,
}

impl Flow {
    /// The signed-in browser of the app presses "Connect to GitLab".
    pub(crate) async fn begin(app: &TestApp, name: &str) -> Self {
        Self::begin_in(&app.http, &[("name", name), ("integration", "gitlab")]).await
    }

    /// The same in another browser, or with other fields.
    pub(crate) async fn begin_in(browser: &Http, fields: &[(&str, &str)]) -> Self {
        Self::begin_at(browser, "/connections/authorize", fields).await
    }

    /// The same by another form.
    pub(crate) async fn begin_at(browser: &Http, path: &str, fields: &[(&str, &str)]) -> Self {
        Self::of(&browser.post_form(path, fields).await)
    }

    /// The signed-in browser of the app presses "Reauthorize".
    pub(crate) async fn reauthorize(app: &TestApp, id: &str) -> Self {
        Self::of(&app.http.post_form(&format!("/connections/{id}/reauthorize"), &[]).await)
    }

    /// What an answer to one of those buttons leads to.
    #[track_caller]
    pub(crate) fn of(reply: &Reply) -> Self {
        assert_eq!(reply.status, 303, "{}", reply.text);
        Self { authorize: Url::parse(reply.location()).expect("an address at GitLab") }
    }

    /// A parameter of the authorization request; it stands there once.
    pub(crate) fn asked(&self, name: &str) -> String {
        one(&self.authorize, name)
    }

    /// The person consents.
    pub(crate) fn approve(&self, sim: &Sim) -> Answer {
        Answer::of(&sim.approve(self.authorize.as_str()).expect("GitLab shows the consent page"))
    }

    /// The person presses Cancel.
    pub(crate) fn deny(&self, sim: &Sim) -> Answer {
        Answer::of(&sim.deny(self.authorize.as_str()).expect("GitLab shows the consent page"))
    }
}

/// Where GitLab sends the browser back.
#[derive(Clone)]
pub(crate) struct Answer(Url);

impl Answer {
    fn of(location: &str) -> Self {
        Self(Url::parse(location).expect("the redirect URI with an answer"))
    }

    /// The callback as it is, path and query.
    pub(crate) fn path(&self) -> String {
        format!("{}?{}", self.0.path(), self.0.query().expect("an answer has a query"))
    }

    pub(crate) fn code(&self) -> String {
        one(&self.0, "code")
    }

    pub(crate) fn state(&self) -> String {
        one(&self.0, "state")
    }

    /// The callback with one more parameter.
    pub(crate) fn and(&self, name: &str, value: &str) -> String {
        let mut url = self.0.clone();
        url.query_pairs_mut().append_pair(name, value);
        Self(url).path()
    }
}

/// A callback of one's own making.
pub(crate) fn callback(integration: &str, parameters: &[(&str, &str)]) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    format!("/oauth/{integration}/callback?{query}")
}

/// Follows a callback that came to nothing to the page of its own, which names this reason.
pub(crate) async fn outcome(browser: &Http, callback: &str, code: &str) -> Reply {
    let reply = browser.get(callback).await.expect(303);
    let location = reply.location().to_owned();
    assert!(location.starts_with("/oauth/gitlab/outcome/") && !location.contains('?'), "{location} is clean");
    let page = browser.get(&location).await;
    assert!(page.status >= 400, "{location} answers {}", page.status);
    assert!(page.text.contains(&format!("<code>{code}</code>")), "not {code}:\n{}", page.text);
    assert!(page.text.contains("Start again"), "there is a way on:\n{}", page.text);
    page
}

#[track_caller]
fn one(url: &Url, name: &str) -> String {
    let values: Vec<_> =
        url.query_pairs().filter(|(known, _)| known == name).map(|(_, v)| v.into_owned()).collect();
    let [value] = values.as_slice() else { panic!("{name} does not stand once in {url}") };
    value.clone()
}
