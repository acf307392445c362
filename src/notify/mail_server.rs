//! The mail server that a URL names, and how it is spoken to.
//!
//! The rule it guards: a password never leaves this machine without TLS, whatever the URL or the server says.

use super::MailError;
use lettre::{
    AsyncSmtpTransport, Tokio1Executor,
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
        extension::ClientId,
    },
};
use std::{net::IpAddr, time::Duration};
use url::{Host, Url};

/// For each address that the server's name has.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

pub(super) struct MailServer {
    pub(super) host: String,
    /// Whether a user and a password are sent.
    pub(super) signs_in: bool,
    pub(super) transport: AsyncSmtpTransport<Tokio1Executor>,
}

/// When the conversation is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encryption {
    FromTheStart,
    Required,
    IfOffered,
    Never,
}

impl MailServer {
    /// Reads `smtps://USER:PASSWORD@HOST:PORT` or `smtp://…?tls=required`. `our_name` is how we introduce
    /// ourselves; `ca_pem` are certificates that are trusted beside the system's.
    pub(super) fn read(url: &str, our_name: &str, ca_pem: Option<&[u8]>) -> Result<Self, MailError> {
        let url = Url::parse(url.trim()).map_err(|_| MailError::Url("it is no URL"))?;
        let host = url.host().ok_or(MailError::Url("it names no host"))?;
        let host = match host {
            Host::Ipv6(address) => address.to_string(),
            other => other.to_string(),
        };
        let credentials = credentials(&url)?;
        let encryption = encryption(&url, is_loopback(&host), credentials.is_some())?;
        let trust = || trust(&host, ca_pem);
        let tls = match encryption {
            Encryption::FromTheStart => Tls::Wrapper(trust()?),
            Encryption::Required => Tls::Required(trust()?),
            Encryption::IfOffered => Tls::Opportunistic(trust()?),
            Encryption::Never => Tls::None,
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&host)
            .port(url.port().unwrap_or_else(|| usual_port(encryption, credentials.is_some())))
            .hello_name(ClientId::Domain(our_name.to_owned()))
            .timeout(Some(CONNECT_LIMIT))
            .tls(tls);
        let signs_in = credentials.is_some();
        if let Some(credentials) = credentials {
            builder = builder.credentials(credentials);
        }
        Ok(Self { host, signs_in, transport: builder.build() })
    }
}

/// On this machine a plain `smtp://` is as it stands. Elsewhere TLS is used where it is offered, and is
/// required as soon as there is a password.
fn encryption(url: &Url, is_loopback: bool, signs_in: bool) -> Result<Encryption, MailError> {
    let tls = url.query_pairs().find(|(name, _)| name == "tls").map(|(_, value)| value.into_owned());
    match (url.scheme(), tls.as_deref()) {
        ("smtps", _) => Ok(Encryption::FromTheStart),
        ("smtp", Some("required")) => Ok(Encryption::Required),
        ("smtp", None | Some("opportunistic")) if signs_in && !is_loopback => Ok(Encryption::Required),
        ("smtp", None) if is_loopback => Ok(Encryption::Never),
        ("smtp", None | Some("opportunistic")) => Ok(Encryption::IfOffered),
        ("smtp", Some(_)) => Err(MailError::Url("its tls is neither required nor opportunistic")),
        _ => Err(MailError::Url("it begins with neither smtp:// nor smtps://")),
    }
}

/// RFC 8314 and RFC 6409; mail without a password goes to the port between mail servers.
fn usual_port(encryption: Encryption, signs_in: bool) -> u16 {
    match encryption {
        Encryption::FromTheStart => 465,
        Encryption::Required => 587,
        Encryption::IfOffered | Encryption::Never if signs_in => 587,
        Encryption::IfOffered | Encryption::Never => 25,
    }
}

fn credentials(url: &Url) -> Result<Option<Credentials>, MailError> {
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        (_, None) => Err(MailError::Url("it has a user and no password")),
        ("", Some(_)) => Err(MailError::Url("it has a password and no user")),
        (user, Some(password)) => Ok(Some(Credentials::new(decoded(user)?, decoded(password)?))),
    }
}

/// Percent-decodes a part of a URL, as a form does but for the plus sign.
fn decoded(part: &str) -> Result<String, MailError> {
    let as_query = format!("v={}", part.replace('+', "%2B").replace('&', "%26"));
    let decoded =
        url::form_urlencoded::parse(as_query.as_bytes()).next().map(|(_, value)| value.into_owned());
    decoded
        .filter(|text| !text.contains('\u{FFFD}'))
        .ok_or(MailError::Url("its user or password is not percent-encoded UTF-8"))
}

fn trust(host: &str, ca_pem: Option<&[u8]>) -> Result<TlsParameters, MailError> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(pem) = ca_pem {
        let certificates = Certificate::from_pem(pem).map_err(|_| MailError::Certificates)?;
        builder = builder.add_root_certificate(certificates);
    }
    builder.build().map_err(|_| MailError::Certificates)
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Result<Encryption, MailError> {
        let server = MailServer::read(url, "mooring.example", None)?;
        let url = Url::parse(url).unwrap();
        encryption(&url, is_loopback(&server.host), server.signs_in)
    }

    #[test]
    fn a_password_is_never_sent_without_tls_to_another_machine() {
        for tls in ["", "?tls=opportunistic", "?tls=required"] {
            assert_eq!(of(&format!("smtp://u:p@mail.example:25{tls}")), Ok(Encryption::Required), "{tls}");
        }
        assert_eq!(of("smtps://u:p@mail.example"), Ok(Encryption::FromTheStart));
        assert_eq!(of("smtp://u:p@127.0.0.1:25"), Ok(Encryption::Never));
        assert_eq!(of("smtp://u:p@[::1]:25"), Ok(Encryption::Never));
        assert_eq!(of("smtp://u:p@localhost.example:25"), Ok(Encryption::Required));
    }

    #[test]
    fn mail_without_a_password_is_encrypted_where_that_is_offered() {
        assert_eq!(of("smtp://mail.example"), Ok(Encryption::IfOffered));
        assert_eq!(of("smtp://mail.example?tls=required"), Ok(Encryption::Required));
        assert_eq!(of("smtp://localhost"), Ok(Encryption::Never));
    }

    #[test]
    fn a_url_that_says_no_clear_thing_is_refused_without_its_password() {
        let urls =
            ["smtp://u@mail.example", "smtp://:CANARY@mail.example", "CANARY", "http://u:CANARY@m.example"];
        for url in
            urls.into_iter().chain(["smtp://u:CANARY@m.example?tls=none", "smtp://u:CANARY%FF@m.example"])
        {
            let error = of(url).unwrap_err();
            assert!(
                matches!(error, MailError::Url(_)) && !format!("{error:?}{error}").contains("CANARY"),
                "{url}"
            );
        }
    }

    #[test]
    fn passwords_are_read_as_they_were_meant() {
        assert_eq!(decoded("a%40b+c%26d%25&e=f").unwrap(), "a@b+c&d%&e=f");
    }
}
