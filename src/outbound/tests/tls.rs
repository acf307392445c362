//! Whom TLS trusts, and what is said when it does not.

use std::io::Write;
use std::net::Shutdown;

use super::server::{Pki, Server, hang, raw};
use super::{Script, get, policy, url};
use crate::outbound::{BuildError, CaBundle, CaError, Outbound, OutboundError, Sent, TlsReason};

const HOST: &str = "gitlab.example";

/// A guarded client for which every name leads to loopback, and loopback is allowed.
fn client(ca: &CaBundle) -> Outbound {
    Outbound::guarded_with(policy("127.0.0.1"), ca, Script::always(&["127.0.0.1"]).options()).unwrap()
}

async fn fails(server: &Server, ca: &CaBundle) -> TlsReason {
    let url = format!("https://{HOST}:{}/", server.address.port());
    let error = client(ca).send(get(&url)).await.unwrap_err();
    assert_eq!((error.step(), error.was_sent()), ("tls", Sent::No), "{error:?}");
    let OutboundError::Tls { reason, .. } = error else { panic!("{error:?}") };
    reason
}

#[tokio::test]
async fn a_private_ca_is_accepted_once_it_is_added() {
    let (pki, other) = (Pki::for_host(HOST), Pki::for_host("other.example"));
    let server = pki.serve();
    let script = Script::always(&["127.0.0.1"]);
    let ca = other.ca().merge(&pki.ca());
    let outbound = Outbound::guarded_with(policy("127.0.0.1"), &ca, script.options()).unwrap();
    let answer = outbound.send(get(&format!("https://{HOST}:{}/", server.address.port()))).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body.as_slice()), (200, &b"hello"[..]));
    assert_eq!(script.asked(), 1, "the connection uses the addresses that were judged");
}

#[tokio::test]
async fn a_certificate_for_an_address_is_accepted() {
    let pki = Pki::for_host("127.0.0.1");
    let answer = client(&pki.ca()).send(get(&format!("https://{}/", pki.serve().address))).await.unwrap();
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_ca_that_was_not_added_is_unknown() {
    let server = Pki::for_host(HOST).serve();
    assert_eq!(fails(&server, &CaBundle::default()).await, TlsReason::UnknownIssuer);
    assert_eq!(fails(&server, &Pki::for_host(HOST).ca()).await, TlsReason::UnknownIssuer);
}

#[tokio::test]
async fn a_self_signed_certificate_is_accepted_once_it_is_added() {
    let pki = Pki::self_signed(HOST, false);
    let server = pki.serve();
    assert_eq!(fails(&server, &CaBundle::default()).await, TlsReason::UnknownIssuer);
    let url = format!("https://{HOST}:{}/", server.address.port());
    assert_eq!(client(&pki.ca()).send(get(&url)).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_self_signed_ca_as_server_certificate_is_explained() {
    let pki = Pki::self_signed(HOST, true);
    assert_eq!(fails(&pki.serve(), &pki.ca()).await, TlsReason::CaCertificate);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let pki = Pki::for_host("other.example");
    assert_eq!(fails(&pki.serve(), &pki.ca()).await, TlsReason::WrongHostName);
}

#[tokio::test]
async fn a_certificate_outside_its_dates_is_refused() {
    let past = Pki::with(HOST, |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    assert_eq!(fails(&past.serve(), &past.ca()).await, TlsReason::Expired);
    let future = Pki::with(HOST, |params| params.not_before = rcgen::date_time_ymd(2090, 1, 1));
    assert_eq!(fails(&future.serve(), &future.ca()).await, TlsReason::NotYetValid);
}

#[tokio::test]
async fn a_certificate_for_another_purpose_is_refused() {
    let pki = Pki::with(HOST, |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    assert_eq!(fails(&pki.serve(), &pki.ca()).await, TlsReason::BadCertificate);
}

#[tokio::test]
async fn a_server_without_tls_is_recognised() {
    let server = raw(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        hang(&stream);
    });
    assert_eq!(fails(&server, &CaBundle::default()).await, TlsReason::NotTls);
}

#[tokio::test]
async fn a_server_with_too_old_a_version_is_recognised() {
    for alert in [70, 40] {
        let server = raw(move |mut stream| {
            let _ = stream.write_all(&[0x15, 3, 1, 0, 2, 2, alert]);
            hang(&stream);
        });
        assert_eq!(fails(&server, &CaBundle::default()).await, TlsReason::Incompatible, "alert {alert}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_on_the_greeting_was_sent_nothing() {
    let polite = raw(|stream| {
        drop(stream.shutdown(Shutdown::Write));
        hang(&stream);
    });
    assert_eq!(fails(&polite, &CaBundle::default()).await, TlsReason::Closed);
    let rude = raw(drop);
    assert_eq!(fails(&rude, &CaBundle::default()).await, TlsReason::Closed);
}

#[tokio::test]
async fn the_issuer_of_a_certificate_that_is_not_trusted_is_told_and_nothing_is_sent() {
    let of = async |server: &Server, outbound: Outbound| {
        let url = url(&format!("https://{HOST}:{}/", server.address.port()));
        outbound.certificate_issuer(&url).await
    };
    let issued = Pki::with(HOST, |params| params.distinguished_name = rcgen::DistinguishedName::new());
    let server = issued.serve();
    let told = of(&server, client(&CaBundle::default())).await.unwrap();
    assert_eq!((told.name.as_str(), told.is_itself), ("rcgen self signed cert", false));
    let server = Pki::self_signed(HOST, false).serve();
    assert!(of(&server, client(&CaBundle::default())).await.unwrap().is_itself);

    let plain = raw(drop);
    assert_eq!(of(&plain, client(&CaBundle::default())).await, None);
    let server = issued.serve();
    let guarded =
        Outbound::guarded_with(policy(""), &CaBundle::default(), Script::always(&["127.0.0.1"]).options());
    assert_eq!(of(&server, guarded.unwrap()).await, None, "the guard holds here too");
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_bundle_without_a_certificate_is_refused() {
    let pki = Pki::for_host(HOST);
    let twice = [pki.ca_pem.as_str(), &pki.ca_pem].concat();
    assert_eq!(format!("{:?}", CaBundle::from_pem(twice.as_bytes()).unwrap()), "CaBundle(2 certificates)");
    for pem in ["", "no PEM at all", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"] {
        assert_eq!(CaBundle::from_pem(pem.as_bytes()).unwrap_err(), CaError::NoCertificate, "{pem:?}");
    }
    let broken = "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n";
    assert_eq!(CaBundle::from_pem(broken.as_bytes()).unwrap_err(), CaError::Unreadable);
}

#[test]
fn a_block_that_is_no_certificate_is_a_clear_error() {
    let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let result = CaBundle::from_pem(pem.as_bytes()).map(|ca| Outbound::trusted(&ca));
    assert!(matches!(result, Err(_) | Ok(Err(BuildError::Certificate(_)))), "{result:?}");
}
