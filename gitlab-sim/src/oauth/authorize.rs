//! `/oauth/authorize`: a bad request ends on an HTML page and never redirects; a good one shows the consent
//! page, whose buttons redirect with a code or with `access_denied`.

use time::Duration;
use url::Url;
use url::form_urlencoded::Serializer;

use super::page;
use crate::call::Call;
use crate::random;
use crate::reply::Reply;
use crate::world::{Application, Grant, UserId, World};

const CODE_LIFE: Duration = Duration::minutes(10);

/// The parameters of an authorization request, as they came.
pub(crate) struct Asked(Vec<(String, String)>);

/// An authorization request that passed all checks.
pub(crate) struct Request<'a> {
    pub(crate) application: &'a Application,
    pub(crate) scopes: Vec<String>,
    redirect_uri: String,
    state: Option<String>,
    mode: Mode,
    challenge: Option<(String, bool)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Query,
    Fragment,
    FormPost,
}

/// What the person at the consent page pressed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Authorize,
    Cancel,
}

impl Asked {
    pub(crate) fn new(params: Vec<(String, String)>) -> Self {
        Self(params)
    }

    pub(crate) fn of_url(url: &str) -> Result<Self, String> {
        let url = Url::parse(url).map_err(|error| format!("not an address: {error}"))?;
        Ok(Self(url.query_pairs().into_owned().collect()))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// All checks, in GitLab's order; the error is the sentence that the page shows.
    pub(crate) fn check<'a>(&self, world: &'a World) -> Result<Request<'a>, String> {
        let client_id = self.get("client_id").ok_or_else(|| missing("client_id"))?;
        let application = world.applications.get(client_id).ok_or(
            "Client authentication failed due to unknown client, no client authentication included, \
             or unsupported authentication method.",
        )?;
        let redirect_uri = self.get("redirect_uri").filter(|uri| application.takes(uri));
        let redirect_uri = redirect_uri.ok_or("The redirect URI included is not valid.")?.to_owned();
        match self.get("response_type") {
            Some("code") => {}
            None => return Err(missing("response_type")),
            Some(_) => return Err("The authorization server does not support this response type.".to_owned()),
        }
        let mode = match self.get("response_mode") {
            None | Some("query") => Mode::Query,
            Some("fragment") => Mode::Fragment,
            Some("form_post") => Mode::FormPost,
            Some(_) => return Err("The authorization server does not support this response mode.".to_owned()),
        };
        let scopes = self.scopes(application)?;
        let challenge = self.challenge()?;
        let state = self.get("state").map(str::to_owned);
        Ok(Request { application, scopes, redirect_uri, state, mode, challenge })
    }

    /// Asked scopes must be among the application's; none asked means `api`.
    fn scopes(&self, application: &Application) -> Result<Vec<String>, String> {
        let asked =
            if self.get("gl_auth_type") == Some("login") { Some("read_user") } else { self.get("scope") };
        let asked = asked.unwrap_or("api").split_whitespace();
        let scopes: Vec<String> = asked.map(str::to_owned).collect();
        if scopes.iter().all(|scope| application.scopes.contains(scope)) {
            Ok(scopes)
        } else {
            Err("The requested scope is invalid, unknown, or malformed.".to_owned())
        }
    }

    fn challenge(&self) -> Result<Option<(String, bool)>, String> {
        let Some(challenge) = self.get("code_challenge") else { return Ok(None) };
        if challenge.len() > 128 {
            return Err("The code challenge is too long.".to_owned());
        }
        match self.get("code_challenge_method") {
            Some("S256") => Ok(Some((challenge.to_owned(), true))),
            Some("plain") => Ok(Some((challenge.to_owned(), false))),
            _ => Err("The code_challenge_method must be one of plain, S256.".to_owned()),
        }
    }
}

fn missing(name: &str) -> String {
    format!("Missing required parameter: {name}.")
}

impl Application {
    /// Doorkeeper's comparison: by parts, a registered query must be present, loopback literals take any port.
    fn takes(&self, asked: &str) -> bool {
        self.redirect_uris.iter().any(|registered| same_target(registered, asked))
    }
}

fn same_target(registered: &str, asked: &str) -> bool {
    let (Ok(registered), Ok(asked)) = (Url::parse(registered), Url::parse(asked)) else { return false };
    let loopback = match asked.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        _ => false,
    };
    let same_port = loopback || registered.port_or_known_default() == asked.port_or_known_default();
    let query_held = registered.query_pairs().all(|pair| asked.query_pairs().any(|other| other == pair));
    let same_place = (registered.scheme(), registered.host_str(), registered.path())
        == (asked.scheme(), asked.host_str(), asked.path());
    same_place && same_port && query_held && asked.fragment().is_none()
}

/// `GET /oauth/authorize`
pub(crate) fn show(world: &mut World, call: &Call) -> Reply {
    let asked = Asked::new(call.query.clone());
    let Some(user) = world.browser_user() else {
        return Reply::html(200, page::error("Nobody is signed in: this GitLab has no users."));
    };
    match asked.check(world) {
        Err(problem) => Reply::html(200, page::error(&problem)),
        Ok(request) if request.application.trusted => {
            match redirect(world, &asked, user, Decision::Authorize) {
                Ok(location) => Reply::html(200, page::script_redirect(&location)),
                Err(problem) => Reply::html(200, page::error(&problem)),
            }
        }
        Ok(request) => Reply::html(200, page::consent(world, &asked, &request, user)),
    }
}

/// `POST /oauth/authorize`, and the `_method=delete` that Rails forms send for Cancel.
pub(crate) fn decide(world: &mut World, call: &Call) -> Reply {
    let asked = Asked::new(call.all_params());
    let chosen = call.number("user").filter(|user| world.users.contains_key(user));
    let Some(user) = chosen.or_else(|| world.browser_user()) else {
        return Reply::html(200, page::error("Nobody is signed in: this GitLab has no users."));
    };
    world.signed_in = Some(user);
    let decision =
        if call.param("_method") == Some("delete") { Decision::Cancel } else { Decision::Authorize };
    let form_post = asked.get("response_mode") == Some("form_post");
    match redirect(world, &asked, user, decision) {
        Ok(location) if form_post => Reply::html(200, page::form_post(&location)),
        Ok(location) => Reply::redirect(&location),
        Err(problem) => Reply::html(200, page::error(&problem)),
    }
}

/// Carries out the decision; the answer is where the browser goes next.
pub(crate) fn redirect(
    world: &mut World,
    asked: &Asked,
    user: UserId,
    decision: Decision,
) -> Result<String, String> {
    let request = asked.check(world)?;
    let mut answer = Serializer::new(String::new());
    let mut grant = None;
    if decision == Decision::Authorize {
        let code = random::hex64();
        answer.append_pair("code", &code);
        grant = Some((code, request.grant(user, world)));
    } else {
        answer.append_pair("error", "access_denied");
        answer.append_pair(
            "error_description",
            "The resource owner or authorization server denied the request.",
        );
    }
    if let Some(state) = &request.state {
        answer.append_pair("state", state);
    }
    let location = request.location(&answer.finish());
    if let Some((code, grant)) = grant {
        world.grants.insert(code, grant);
    }
    Ok(location)
}

impl World {
    /// Decides as the user who is signed in.
    pub(crate) fn decide(&mut self, asked: &Asked, decision: Decision) -> Result<String, String> {
        let user = self.browser_user().ok_or("Nobody is signed in: this GitLab has no users.")?;
        redirect(self, asked, user, decision)
    }
}

impl Request<'_> {
    fn grant(&self, user: UserId, world: &World) -> Grant {
        Grant {
            client_id: self.application.client_id.clone(),
            user,
            redirect_uri: self.redirect_uri.clone(),
            scopes: self.scopes.clone(),
            challenge: self.challenge.clone(),
            expires_at: world.now() + CODE_LIFE,
            spent: false,
        }
    }

    /// The redirect URI with the answer attached; a query that it has already stays.
    fn location(&self, answer: &str) -> String {
        let separator = match (self.mode, self.redirect_uri.contains('?')) {
            (Mode::Fragment, _) => '#',
            (Mode::Query | Mode::FormPost, true) => '&',
            (Mode::Query | Mode::FormPost, false) => '?',
        };
        format!("{}{separator}{answer}", self.redirect_uri)
    }
}
