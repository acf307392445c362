//! Every endpoint on one screen: its name, its route, the scopes it takes and its fine-grained permission.

use std::fmt;
use std::str::FromStr;

use axum::http::Method;

use crate::call::Call;
use crate::options::Version;

macro_rules! endpoints {
    ($($variant:ident = $name:literal: $doc:literal,)*) => {
        /// One endpoint of the simulated GitLab: the unit of counting and of faults.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Endpoint { $(#[doc = $doc] $variant,)* }

        impl Endpoint {
            /// All endpoints.
            pub const ALL: &'static [Endpoint] = &[$(Endpoint::$variant,)*];

            /// The name that the HTTP controls use.
            pub fn name(self) -> &'static str {
                match self { $(Endpoint::$variant => $name,)* }
            }
        }
    };
}

endpoints! {
    Any = "any": "Whatever is asked: a fault here hits every endpoint, the count is the total.",
    Authorize = "authorize": "`GET /oauth/authorize`",
    Consent = "consent": "`POST /oauth/authorize`, the buttons of the consent page",
    Token = "token": "`POST /oauth/token`",
    Revoke = "revoke": "`POST /oauth/revoke`",
    Introspect = "introspect": "`POST /oauth/introspect`",
    TokenInfo = "token_info": "`GET /oauth/token/info`",
    Discovery = "discovery": "`GET /.well-known/openid-configuration` and `oauth-authorization-server`",
    TokenSelf = "token_self": "`GET /api/v4/personal_access_tokens/self`",
    RotateSelf = "rotate_self": "`POST /api/v4/personal_access_tokens/self/rotate`",
    RevokeSelf = "revoke_self": "`DELETE /api/v4/personal_access_tokens/self`",
    Associations = "associations": "`GET /api/v4/personal_access_tokens/self/associations`",
    User = "user": "`GET /api/v4/user`",
    Version = "version": "`GET /api/v4/version`",
    Metadata = "metadata": "`GET /api/v4/metadata`",
    Projects = "projects": "`GET /api/v4/projects`",
    Project = "project": "`GET /api/v4/projects/:id`",
    ProjectMember = "project_member": "`GET /api/v4/projects/:id/members/all/:user_id`",
    RotateProjectToken = "rotate_project_token": "`POST /api/v4/projects/:id/access_tokens/self/rotate`",
    HookList = "hook_list": "`GET /api/v4/projects/:id/hooks`",
    HookCreate = "hook_create": "`POST /api/v4/projects/:id/hooks`",
    Hook = "hook": "`GET /api/v4/projects/:id/hooks/:hook_id`",
    HookDelete = "hook_delete": "`DELETE /api/v4/projects/:id/hooks/:hook_id`",
    Groups = "groups": "`GET /api/v4/groups`",
    Group = "group": "`GET /api/v4/groups/:id`",
    GroupProjects = "group_projects": "`GET /api/v4/groups/:id/projects`",
    GroupMember = "group_member": "`GET /api/v4/groups/:id/members/all/:user_id`",
    RotateGroupToken = "rotate_group_token": "`POST /api/v4/groups/:id/access_tokens/self/rotate`",
    WrongMethod = "wrong_method": "A known path with a method that it does not take.",
    Unknown = "unknown": "Anything else.",
}

impl Endpoint {
    /// Which endpoint a request is for.
    pub(crate) fn of(call: &Call) -> Self {
        let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
        match segments.as_slice() {
            ["oauth", "authorize"] => {
                either(&call.method, &[(Method::GET, Self::Authorize), (Method::POST, Self::Consent)])
            }
            ["oauth", "token"] => only(&call.method, &Method::POST, Self::Token),
            ["oauth", "revoke"] => only(&call.method, &Method::POST, Self::Revoke),
            ["oauth", "introspect"] => only(&call.method, &Method::POST, Self::Introspect),
            ["oauth", "token", "info"] => only(&call.method, &Method::GET, Self::TokenInfo),
            [".well-known", "openid-configuration" | "oauth-authorization-server"] => {
                only(&call.method, &Method::GET, Self::Discovery)
            }
            ["api", "v4", rest @ ..] => Self::of_api(&call.method, rest),
            _ => Self::Unknown,
        }
    }

    fn of_api(method: &Method, rest: &[&str]) -> Self {
        match rest {
            ["user"] => only(method, &Method::GET, Self::User),
            ["version"] => only(method, &Method::GET, Self::Version),
            ["metadata"] => only(method, &Method::GET, Self::Metadata),
            ["projects"] => only(method, &Method::GET, Self::Projects),
            ["groups"] => only(method, &Method::GET, Self::Groups),
            ["personal_access_tokens", tail @ ..] => Self::of_token(method, tail),
            ["projects", _, tail @ ..] => Self::of_project(method, tail),
            ["groups", _, tail @ ..] => Self::of_group(method, tail),
            _ => Self::Unknown,
        }
    }

    fn of_token(method: &Method, tail: &[&str]) -> Self {
        match tail {
            ["self"] => either(method, &[(Method::GET, Self::TokenSelf), (Method::DELETE, Self::RevokeSelf)]),
            ["self", "rotate"] => only(method, &Method::POST, Self::RotateSelf),
            ["self", "associations"] => only(method, &Method::GET, Self::Associations),
            _ => Self::Unknown,
        }
    }

    fn of_project(method: &Method, tail: &[&str]) -> Self {
        match tail {
            [] => only(method, &Method::GET, Self::Project),
            ["members", "all", _] => only(method, &Method::GET, Self::ProjectMember),
            ["access_tokens", "self", "rotate"] => only(method, &Method::POST, Self::RotateProjectToken),
            ["hooks"] => either(method, &[(Method::GET, Self::HookList), (Method::POST, Self::HookCreate)]),
            ["hooks", _] => either(method, &[(Method::GET, Self::Hook), (Method::DELETE, Self::HookDelete)]),
            _ => Self::Unknown,
        }
    }

    fn of_group(method: &Method, tail: &[&str]) -> Self {
        match tail {
            [] => only(method, &Method::GET, Self::Group),
            ["projects"] => only(method, &Method::GET, Self::GroupProjects),
            ["members", "all", _] => only(method, &Method::GET, Self::GroupMember),
            ["access_tokens", "self", "rotate"] => only(method, &Method::POST, Self::RotateGroupToken),
            _ => Self::Unknown,
        }
    }

    /// The scopes of which a token needs one; `None` where every token will do.
    pub(crate) fn scopes(self) -> Option<&'static [&'static str]> {
        match self {
            Self::TokenSelf | Self::RevokeSelf | Self::Associations => None,
            Self::User | Self::Version | Self::Metadata => Some(&["read_user", "api", "read_api"]),
            Self::RotateSelf | Self::RotateProjectToken | Self::RotateGroupToken => {
                Some(&["api", "self_rotate"])
            }
            Self::HookCreate | Self::HookDelete => Some(&["api"]),
            _ => Some(&["api", "read_api"]),
        }
    }

    /// The boundary and the permission that a fine-grained token needs.
    pub(crate) fn permission(self) -> (&'static str, &'static str) {
        match self {
            Self::User => ("user", "User: Read"),
            Self::TokenSelf | Self::Associations => ("user", "Personal Access Token: Read"),
            Self::RevokeSelf => ("user", "Personal Access Token: Revoke"),
            Self::RotateSelf => ("user", "Personal Access Token: Rotate"),
            Self::Version | Self::Metadata => ("instance", "Metadata: Read"),
            Self::ProjectMember => ("project", "Member: Read"),
            Self::HookList | Self::Hook => ("project", "Webhook: Read"),
            Self::HookCreate => ("project", "Webhook: Create"),
            Self::HookDelete => ("project", "Webhook: Delete"),
            Self::GroupMember => ("group", "Member: Read"),
            Self::Groups | Self::Group => ("group", "Group: Read"),
            _ => ("project", "Project: Read"),
        }
    }

    /// Whether this version has the endpoint.
    pub(crate) fn is_in(self, version: Version) -> bool {
        match self {
            Self::RotateSelf => version >= Version::V16_11,
            Self::RotateProjectToken | Self::RotateGroupToken => version >= Version::V17_11,
            _ => true,
        }
    }

    /// Whether a revoked token here gives away that somebody else rotated it.
    pub(crate) fn is_rotation(self) -> bool {
        matches!(self, Self::RotateSelf | Self::RotateProjectToken | Self::RotateGroupToken)
    }
}

fn only(method: &Method, wanted: &Method, endpoint: Endpoint) -> Endpoint {
    if method == wanted { endpoint } else { Endpoint::WrongMethod }
}

fn either(method: &Method, choices: &[(Method, Endpoint)]) -> Endpoint {
    choices
        .iter()
        .find(|(wanted, _)| wanted == method)
        .map_or(Endpoint::WrongMethod, |(_, endpoint)| *endpoint)
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|endpoint| endpoint.name() == text);
        found.copied().ok_or_else(|| format!("no endpoint is called {text}"))
    }
}
