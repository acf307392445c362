//! Settings about people: the first administrator, who may sign in elsewhere, and who gets mail.

use super::{hidden::Hidden, reader::Reader, values};

/// The person that is made at the first start, without the setup link.
#[derive(Debug, Clone)]
pub struct FirstAdministrator {
    /// With which they sign in.
    pub email: String,
    /// Twelve characters or more.
    pub password: Hidden,
}

/// Where notices go by e-mail.
#[derive(Debug, Clone)]
pub struct Mail {
    /// `smtp://` or `smtps://`, with the password in it where there is one.
    pub smtp_url: Hidden,
    /// The sender.
    pub from: String,
    /// At least one receiver.
    pub to: Vec<String>,
}

/// Single sign-on for the web pages.
#[derive(Debug, Clone)]
pub struct Oidc {
    /// As the provider writes it, with or without a slash at its end.
    pub issuer: String,
    /// Our client at it.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Hidden,
    /// E-mail addresses and domains in lower case; at least one.
    pub allowed: Vec<String>,
}

const SHORTEST_PASSWORD: usize = 12;

pub(super) fn read_first_administrator(reader: &mut Reader<'_>) -> Option<FirstAdministrator> {
    reader.together(&["MOORING_ADMIN_EMAIL", "MOORING_ADMIN_PASSWORD"]);
    let email = reader.optional("MOORING_ADMIN_EMAIL", values::email);
    let password = reader.secret("MOORING_ADMIN_PASSWORD")?;
    if password.expose().chars().count() < SHORTEST_PASSWORD {
        reader.problem("MOORING_ADMIN_PASSWORD", format!("wants {SHORTEST_PASSWORD} characters or more"));
    }
    Some(FirstAdministrator { email: email?, password })
}

pub(super) fn read_mail(reader: &mut Reader<'_>) -> Option<Mail> {
    reader.together(&["MOORING_SMTP_URL", "MOORING_MAIL_FROM", "MOORING_MAIL_TO"]);
    let smtp_url = reader.secret("MOORING_SMTP_URL");
    let from = reader.optional("MOORING_MAIL_FROM", values::email);
    let to = reader.optional("MOORING_MAIL_TO", values::emails);
    if smtp_url.as_ref().is_some_and(|url| !is_smtp(url.expose())) {
        reader.problem("MOORING_SMTP_URL", "wants smtp://HOST:PORT or smtps://USER:PASSWORD@HOST:PORT");
    }
    Some(Mail { smtp_url: smtp_url?, from: from?, to: to? })
}

fn is_smtp(value: &str) -> bool {
    url::Url::parse(value.trim()).is_ok_and(|url| matches!(url.scheme(), "smtp" | "smtps") && url.has_host())
}

pub(super) fn read_oidc(reader: &mut Reader<'_>) -> Option<Oidc> {
    let names = [
        "MOORING_OIDC_ISSUER",
        "MOORING_OIDC_CLIENT_ID",
        "MOORING_OIDC_CLIENT_SECRET",
        "MOORING_OIDC_ALLOWED",
    ];
    reader.together(&names);
    let issuer = reader.optional(names[0], values::issuer);
    let client_id = reader.given(names[1]);
    let client_secret = reader.secret(names[2]);
    let allowed = reader.optional(names[3], values::allowed);
    Some(Oidc { issuer: issuer?, client_id: client_id?, client_secret: client_secret?, allowed: allowed? })
}
