//! A client for the simulator's own tests.
#![allow(clippy::unwrap_used, reason = "a helper that fails should fail the test")]

use gitlab_sim::{App, Options, Sim, UserId};
use reqwest::{Client, Response, redirect};
use serde_json::Value;

pub const CALLBACK: &str = "https://broker.example.com/callback";
pub const VERIFIER: &str = "ks02i3jdikdo2k0dkfodf3m39rjfjsdk0wk349rj3jrhf";
pub const CHALLENGE: &str = "2i0WFA-0AerkjQm4X4oDEhqA17QIAKNjXpagHBXmO_U";

/// A simulator with one user and one confidential application.
pub struct World {
    pub sim: Sim,
    pub user: UserId,
    pub app: App,
    pub client: Client,
}

/// What came back.
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    pub fn error(&self) -> (u16, String) {
        (self.status, self.json()["error"].as_str().unwrap_or_default().to_owned())
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl World {
    pub async fn new() -> Self {
        Self::with(Options::default()).await
    }

    pub async fn with(options: Options) -> Self {
        let sim = Sim::start(options).await;
        let user = sim.add_user("alice");
        let app = sim.add_application(CALLBACK, &["api", "read_user"]);
        let client = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
        Self { sim, user, app, client }
    }

    pub async fn get(&self, path: &str, token: &str) -> Answer {
        let request = self.client.get(format!("{}{path}", self.sim.url())).bearer_auth(token);
        read(request.send().await.unwrap()).await
    }

    pub async fn post(&self, path: &str, token: &str, form: &[(&str, &str)]) -> Answer {
        let request = self.client.post(format!("{}{path}", self.sim.url())).bearer_auth(token).form(form);
        read(request.send().await.unwrap()).await
    }

    /// The token endpoint, with this form and nothing else.
    pub async fn token(&self, form: &[(&str, &str)]) -> Answer {
        self.try_token(form).await.unwrap()
    }

    pub async fn try_token(&self, form: &[(&str, &str)]) -> Result<Answer, reqwest::Error> {
        let request = self.client.post(format!("{}/oauth/token", self.sim.url())).form(form);
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer { status, headers, text: response.text().await? })
    }

    /// A refresh as the rightful client.
    pub async fn refresh(&self, refresh_token: &str) -> Answer {
        self.try_refresh(refresh_token).await.unwrap()
    }

    pub async fn try_refresh(&self, refresh_token: &str) -> Result<Answer, reqwest::Error> {
        let (id, secret) = (self.app.client_id.as_str(), self.app.client_secret.as_str());
        self.try_token(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
            ("client_id", id),
            ("client_secret", secret),
        ])
        .await
    }

    /// An authorize URL with a challenge and the given scope.
    pub fn authorize_url(&self, scope: &str) -> String {
        format!(
            "{}/oauth/authorize?client_id={}&redirect_uri={CALLBACK}&response_type=code&state=s1\
             &scope={scope}&code_challenge={CHALLENGE}&code_challenge_method=S256",
            self.sim.url(),
            self.app.client_id
        )
    }

    /// A fresh authorization code.
    pub fn code(&self) -> String {
        let location = self.sim.approve(&self.authorize_url("api+read_user")).unwrap();
        query(&location, "code")
    }
}

pub async fn read(response: Response) -> Answer {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, text: response.text().await.unwrap() }
}

pub fn query(location: &str, name: &str) -> String {
    let url = url::Url::parse(location).unwrap();
    url.query_pairs()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}
