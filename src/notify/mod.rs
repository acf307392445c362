//! Tells others what happened: each event of the log, at least once, in the order of its subject, by webhook and
//! mail; and warns of what will end.
//!
//! The log is the outbox, so nobody calls this when something happens. An [`Outbox`] makes deliveries of events,
//! a [`Courier`] takes them to their endpoints and a [`Postman`] by mail; between them a crash loses nothing. No
//! notice holds a secret, and no mail a provider's own words.

mod compose;
mod endpoints;
mod expiry;
mod gaps;
mod kinds;
mod letter;
mod mail;
mod mail_error;
mod mail_server;
mod moments;
mod notice;
mod outbox;
mod post;
mod postman;
mod schedule;
mod signature;
mod target_url;
mod webhook;
mod wording;

pub use endpoints::{
    EndpointError, EndpointRequest, LONGEST_OVERLAP, Tested, USUAL_OVERLAP, WebhookEndpoints,
};
pub use expiry::Expiry;
pub use kinds::{Kinds, KindsError};
pub use mail::{Mailer, MailerOptions};
pub use mail_error::MailError;
pub use notice::{Notice, NoticeConnection, NoticeData};
pub use outbox::Outbox;
pub use postman::Postman;
pub use target_url::WebhookUrlError;
pub use webhook::Courier;
