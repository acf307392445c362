//! The one integration binary: the real app over HTTP, on both databases, against a simulated GitLab.

mod access_token_story;
mod canary;
mod oauth_story;
mod pages;
mod processes;
mod renewal;
mod support;
