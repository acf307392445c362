//! Tells people: notices of what happened, by mail, and warnings of what will end.
//!
//! Nobody calls this module when something happens. The event log is the outbox, and what is told of an event
//! is a [`Notice`]. No notice holds a secret or a provider's own words.

mod expiry;
mod letter;
mod mail;
mod mail_error;
mod mail_server;
mod moments;
mod notice;
mod wording;

pub use expiry::Expiry;
pub use mail::{Mailer, MailerOptions, goes_by_mail};
pub use mail_error::MailError;
pub use notice::{Notice, NoticeConnection, NoticeData};
