//! Who issued the certificate that a host shows, for a person who decides whether to add its CA.
//!
//! The rule it guards: nothing is trusted here. The handshake is begun towards an address that the guard allows,
//! and broken off when the certificate has been shown, so that nothing is ever sent.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use url::{Host, Url};
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

use super::Outbound;

const LONGEST_NAME: usize = 100;

/// What a certificate says of who issued it. Nobody has proved it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// Its common name and organisation, in plain characters.
    pub name: String,
    /// Whether the certificate is its own issuer.
    pub is_itself: bool,
}

impl Outbound {
    /// The issuer that the certificate at `url` names. `None`: the guard forbids to look, or there is nothing
    /// that can be read.
    pub async fn certificate_issuer(&self, url: &Url) -> Option<Issuer> {
        let certificate = tokio::time::timeout(self.connect, self.certificate(url)).await.ok()??;
        read(&certificate)
    }

    async fn certificate(&self, url: &Url) -> Option<CertificateDer<'static>> {
        self.guard.check_literal(url).ok()?;
        let (name, addresses) = match url.host()? {
            Host::Domain(name) => {
                (ServerName::try_from(name.to_owned()).ok()?, self.resolver.judged(name).await.ok()?)
            }
            Host::Ipv4(ip) => (IpAddr::V4(ip).into(), vec![IpAddr::V4(ip)]),
            Host::Ipv6(ip) => (IpAddr::V6(ip).into(), vec![IpAddr::V6(ip)]),
        };
        let port = url.port_or_known_default()?;
        let sockets: Vec<_> = addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
        let stream = TcpStream::connect(sockets.as_slice()).await.ok()?;
        let onlooker = Arc::new(Onlooker::new());
        let connector = TlsConnector::from(Arc::new(onlooker.clone().config()?));
        // The onlooker refuses every certificate, so this never succeeds.
        connector.connect(name, stream).await.err()?;
        onlooker.seen.get().cloned()
    }
}

/// Looks at a certificate and refuses it.
#[derive(Debug)]
struct Onlooker {
    provider: Arc<CryptoProvider>,
    seen: OnceLock<CertificateDer<'static>>,
}

impl Onlooker {
    fn new() -> Self {
        Self { provider: Arc::new(aws_lc_rs::default_provider()), seen: OnceLock::new() }
    }

    fn config(self: Arc<Self>) -> Option<ClientConfig> {
        let config = ClientConfig::builder_with_provider(Arc::clone(&self.provider));
        let config = config.with_safe_default_protocol_versions().ok()?;
        Some(config.dangerous().with_custom_certificate_verifier(self).with_no_client_auth())
    }
}

fn refused<T>() -> Result<T, Error> {
    Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
}

impl ServerCertVerifier for Onlooker {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.seen.get_or_init(|| end_entity.clone().into_owned());
        refused()
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        refused()
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        refused()
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn read(certificate: &[u8]) -> Option<Issuer> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let is_itself = certificate.issuer().as_raw() == certificate.subject().as_raw();
    Some(Issuer { name: name(certificate.issuer())?, is_itself })
}

/// The host chose these bytes: only plain characters of them are shown, and not many.
fn name(issuer: &X509Name<'_>) -> Option<String> {
    let common = issuer.iter_common_name().next().and_then(|a| a.as_str().ok());
    let organization = issuer.iter_organization().next().and_then(|a| a.as_str().ok());
    let text = match (common, organization) {
        (Some(common), Some(organization)) if common != organization => format!("{common}, {organization}"),
        (Some(one), _) | (None, Some(one)) => one.to_owned(),
        (None, None) => return None,
    };
    let plain =
        |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '.' | ',' | '-' | '_' | '(' | ')' | '&' | '\'');
    let text: String = text.chars().filter(plain).take(LONGEST_NAME).collect();
    Some(text.trim().to_owned()).filter(|t| !t.is_empty())
}
