//! Tells others what happened, by webhook: each event of the log, at least once, in the order of its subject.
//!
//! The log is the outbox, so nobody calls this when something happens. An [`Outbox`] makes deliveries of
//! events and a [`Courier`] takes them to their endpoints; between the two a crash loses nothing. Mail is
//! another channel of the same deliveries: [`MAIL`], for what `Outbox::mail` names.

mod compose;
mod endpoints;
mod gaps;
mod kinds;
mod notice;
mod outbox;
mod post;
mod schedule;
mod signature;
mod target_url;
mod webhook;

pub use endpoints::{
    EndpointError, EndpointRequest, LONGEST_OVERLAP, Tested, USUAL_OVERLAP, WebhookEndpoints,
};
pub use kinds::{Kinds, KindsError};
pub use notice::{Notice, NoticeConnection, NoticeData};
pub use outbox::{MAIL, Outbox};
pub use target_url::WebhookUrlError;
pub use webhook::Courier;
