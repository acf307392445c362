//! The one integration binary: the real app over HTTP, on both databases, against a simulated GitLab.

mod access_token_story;
mod oauth_story;
mod processes;
mod renewal;
mod support;
