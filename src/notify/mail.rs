//! Sends notices by mail: any number of them is one mail.

use super::{MailError, Notice, letter::Letter, mail_server::MailServer, notice::NoticeData, wording::TEST};
use crate::domain::{Actor, Clock, EventId};
use lettre::{
    AsyncTransport, Message,
    address::{Address, Envelope},
    message::{
        Mailbox, MultiPart,
        header::{HeaderName, HeaderValue},
    },
};
use std::{sync::Arc, time::Duration, time::SystemTime};
use url::Url;

/// For a whole conversation with the mail server.
const SEND_LIMIT: Duration = Duration::from_secs(60);

/// Where mail goes and how.
#[derive(Clone, Copy)]
pub struct MailerOptions<'a> {
    /// `smtps://USER:PASSWORD@HOST:PORT`, or `smtp://` with `?tls=required`.
    pub smtp_url: &'a str,
    pub from: &'a str,
    pub to: &'a [String],
    /// PEM certificates that are trusted beside the system's own.
    pub ca_pem: Option<&'a [u8]>,
    /// Our public origin, without a slash at its end. Mails link to nothing else.
    pub site_url: &'a str,
}

/// Sends notices to the receivers. Clones are one.
#[derive(Clone)]
pub struct Mailer(Arc<Parts>);

struct Parts {
    server: MailServer,
    from: Address,
    to: Vec<Address>,
    site_url: String,
    clock: Clock,
}

impl Mailer {
    /// Reads the options. Nothing is sent and nobody is asked.
    pub fn new(options: &MailerOptions<'_>, clock: Clock) -> Result<Self, MailError> {
        let our_name = Url::parse(options.site_url).ok().and_then(|url| url.host_str().map(str::to_owned));
        let our_name = our_name.unwrap_or_else(|| "localhost".to_owned());
        Ok(Self(Arc::new(Parts {
            server: MailServer::read(options.smtp_url, &our_name, options.ca_pem)?,
            from: address(options.from)?,
            to: options.to.iter().map(|to| address(to)).collect::<Result<_, _>>()?,
            site_url: options.site_url.to_owned(),
            clock,
        })))
    }

    /// The mail server's host, the sender and the receivers, for people. No user and no password.
    pub fn route(&self) -> (String, String, Vec<String>) {
        let to = self.0.to.iter().map(ToString::to_string).collect();
        (self.0.server.host.clone(), self.0.from.to_string(), to)
    }

    /// Sends a mail that says it is a test.
    pub async fn test(&self, actor: &Actor) -> Result<(), MailError> {
        let data = NoticeData {
            event_id: EventId::fresh().to_string(),
            subject: None,
            tenant: None,
            actor: actor.to_string(),
            detail: None,
            connection: None,
        };
        self.send(&[Notice { kind: TEST.to_owned(), timestamp: self.0.clock.now(), data }]).await
    }

    /// Signs in to the mail server and leaves again; nothing is sent.
    pub async fn reach(&self) -> Result<(), MailError> {
        let MailServer { host, signs_in, transport } = &self.0.server;
        let host = || host.clone();
        let Ok(reached) = tokio::time::timeout(SEND_LIMIT, transport.test_connection()).await else {
            return Err(MailError::TimedOut { host: host() });
        };
        match reached {
            Ok(true) => Ok(()),
            Ok(false) => Err(MailError::Broken { host: host() }),
            Err(error) => Err(MailError::of(&error, &host(), *signs_in)),
        }
    }

    /// Sends all these notices in one mail; nothing for none. Sent again after an error, the mail has the same
    /// `Message-ID`, so that a receiver who has it already can tell.
    pub async fn send(&self, notices: &[Notice]) -> Result<(), MailError> {
        if notices.is_empty() {
            return Ok(());
        }
        let mail = self.mail(notices)?;
        match self.deliver(&self.0.to, &mail).await {
            Err(refused @ MailError::Refused { .. }) if self.0.to.len() > 1 => {
                self.deliver_to_each(&mail, refused).await
            }
            delivered => delivered,
        }
    }

    /// One address that is refused does not keep the mail from the others.
    async fn deliver_to_each(&self, mail: &[u8], refused: MailError) -> Result<(), MailError> {
        let mut outcome = Err(refused);
        for to in &self.0.to {
            match self.deliver(std::slice::from_ref(to), mail).await {
                Ok(()) => outcome = Ok(()),
                Err(error) => tracing::warn!(%to, %error, "a receiver of notices gets no mail"),
            }
        }
        outcome
    }

    async fn deliver(&self, to: &[Address], mail: &[u8]) -> Result<(), MailError> {
        let MailServer { host, signs_in, transport } = &self.0.server;
        let envelope = Envelope::new(Some(self.0.from.clone()), to.to_vec()).map_err(unwritable)?;
        let Ok(sent) = tokio::time::timeout(SEND_LIMIT, transport.send_raw(&envelope, mail)).await else {
            return Err(MailError::TimedOut { host: host.clone() });
        };
        sent.map(drop).map_err(|error| MailError::of(&error, host, *signs_in))
    }

    fn mail(&self, notices: &[Notice]) -> Result<Vec<u8>, MailError> {
        let letter = Letter::of(notices, &self.0.site_url);
        let (text, html) = (letter.text().map_err(unwritable)?, letter.html().map_err(unwritable)?);
        let mut builder = Message::builder()
            .from(Mailbox::new(Some("Mooring".to_owned()), self.0.from.clone()))
            .subject(letter.subject)
            .date(SystemTime::from(self.0.clock.now()))
            .message_id(Some(self.message_id(notices)))
            .raw_header(header("Auto-Submitted", "auto-generated"));
        for to in &self.0.to {
            builder = builder.to(Mailbox::new(None, to.clone()));
        }
        let mail = builder.multipart(MultiPart::alternative_plain_html(text, html)).map_err(unwritable)?;
        Ok(mail.formatted())
    }

    fn message_id(&self, notices: &[Notice]) -> String {
        let id = |notice: Option<&Notice>| -> String {
            let id = notice.map_or("", |notice| notice.data.event_id.as_str());
            id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect()
        };
        let (first, last, count) = (id(notices.first()), id(notices.last()), notices.len());
        format!("<{first}.{last}.{count}@{}>", self.0.from.domain())
    }
}

fn address(text: &str) -> Result<Address, MailError> {
    text.parse().map_err(|_| MailError::Address(text.to_owned()))
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

fn unwritable(error: impl std::fmt::Display) -> MailError {
    MailError::Letter(error.to_string())
}
