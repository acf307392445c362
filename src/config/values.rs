//! How the text of one setting becomes a value. An error says what the setting wants, in words that follow
//! `NAME: `, and never repeats what was given: it may be a secret in the wrong place.

use base64::{Engine as _, alphabet, engine::general_purpose};
use base64::{engine::DecodePaddingMode, prelude::BASE64_STANDARD};
use std::{fs::File, net::SocketAddr, path::PathBuf, time::Duration};
use url::{Host, Url};
use zeroize::Zeroizing;

pub(super) type Read<T> = Result<T, String>;

/// A file that exists and may be read now; what is in it is its reader's matter.
pub(super) fn readable_file(value: &str) -> Read<PathBuf> {
    let is_file = |file: File| Ok(file.metadata()?.is_file());
    match File::open(value).and_then(is_file) {
        Ok(true) => Ok(value.into()),
        Ok(false) => Err("wants the path of a file: this is none".to_owned()),
        Err(error) => Err(format!("wants the path of a file that can be read: {}", error.kind())),
    }
}

pub(super) fn address(value: &str) -> Read<SocketAddr> {
    value.parse().map_err(|_| "wants an address and a port such as 127.0.0.1:8080".to_owned())
}

pub(super) fn switch(value: &str) -> Read<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("wants true or false".to_owned()),
    }
}

pub(super) fn renew_before(value: &str) -> Read<Duration> {
    humantime::parse_duration(value)
        .ok()
        .filter(|left| (Duration::from_secs(30)..=Duration::from_hours(1)).contains(left))
        .ok_or_else(|| "wants a time between 30s and 1h such as 10m".to_owned())
}

pub(super) fn check_every(value: &str) -> Read<Duration> {
    humantime::parse_duration(value)
        .ok()
        .filter(|period| (Duration::from_mins(5)..=Duration::from_hours(30 * 24)).contains(period))
        .ok_or_else(|| "wants a time between 5m and 30d such as 24h".to_owned())
}

/// What is younger may still be told by webhook, and is looked at when something went wrong.
pub(super) fn keep_events(value: &str) -> Read<Duration> {
    humantime::parse_duration(value)
        .ok()
        .filter(|time| *time >= Duration::from_hours(30 * 24))
        .ok_or_else(|| "wants a time of 30d or more such as 400d".to_owned())
}

/// Longest first, each once.
pub(super) fn warn_before(value: &str) -> Read<Vec<Duration>> {
    let wants = || "wants times such as 30d,7d,1d, separated by commas".to_owned();
    let mut times = items(value)
        .map(|item| humantime::parse_duration(item).ok().filter(|time| !time.is_zero()))
        .collect::<Option<Vec<_>>>()
        .filter(|times| !times.is_empty())
        .ok_or_else(wants)?;
    times.sort_unstable_by(|a, b| b.cmp(a));
    times.dedup();
    Ok(times)
}

/// Looked at lightly: the domain's `BaseUrl` has the rules.
pub(super) fn base_url(value: &str) -> Read<String> {
    let lower = value.to_ascii_lowercase();
    let is_web = lower.starts_with("https://") || lower.starts_with("http://");
    if is_web {
        Ok(value.to_owned())
    } else {
        Err("wants a URL such as https://gitlab.example.com".to_owned())
    }
}

/// The URL of a Mooring server, without a slash at its end. It carries an API key, so plain HTTP stays on this machine.
pub(super) fn server_url(value: &str) -> Read<String> {
    let is_fit = |url: &Url| is_https_or_loopback(url) && url.query().is_none() && url.fragment().is_none();
    Url::parse(value).ok().filter(is_fit).map(|url| url.as_str().trim_end_matches('/').to_owned()).ok_or_else(
        || "wants a URL such as https://mooring.example.com; http only for this machine".to_owned(),
    )
}

/// Scope tokens of RFC 6749 section 3.3, separated by spaces or commas.
pub(super) fn scopes(value: &str) -> Read<Vec<String>> {
    let is_scope = |scope: &str| scope.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
    let scopes: Vec<_> = value.split([',', ' ', '\t']).filter(|scope| !scope.is_empty()).collect();
    if scopes.is_empty() || !scopes.iter().all(|scope| is_scope(scope)) {
        return Err("wants scopes such as api or read_api,read_repository".to_owned());
    }
    Ok(scopes.into_iter().map(str::to_owned).collect())
}

pub(super) fn provider(value: &str) -> Read<String> {
    if value == "gitlab" { Ok(value.to_owned()) } else { Err("wants a known provider: gitlab".to_owned()) }
}

/// Hosts, addresses and CIDRs; checked here, read by the outbound guard.
pub(super) fn outbound_allow(value: &str) -> Read<String> {
    let is_network = |item: &str| item.contains('/') && item.parse::<ipnet::IpNet>().is_ok();
    let is_address = |item: &str| item.parse::<std::net::IpAddr>().is_ok();
    let is_host = |item: &str| !item.contains([':', '*']) && Host::parse(item).is_ok();
    let is_known = |item: &str| is_network(item) || is_address(item) || is_host(item);
    if items(value).all(is_known) {
        return Ok(value.to_owned());
    }
    Err("wants hosts or CIDRs such as gitlab.corp.example,10.1.0.0/16, separated by commas".to_owned())
}

/// Kept byte for byte: connect sessions compare them exactly.
pub(super) fn return_urls(value: &str) -> Read<Vec<String>> {
    let is_fit =
        |item: &str| Url::parse(item).is_ok_and(|url| is_https_or_loopback(&url) && url.fragment().is_none());
    if items(value).all(is_fit) {
        return Ok(items(value).map(str::to_owned).collect());
    }
    Err("wants absolute https URLs, separated by commas; http only for this machine, no user, no fragment"
        .to_owned())
}

/// Spans hold no secret, so that plain HTTP may leave this machine.
pub(super) fn collector(value: &str) -> Read<String> {
    let is_bare = |url: &Url| url.username().is_empty() && url.password().is_none();
    let has_no_more = |url: &Url| url.query().is_none() && url.fragment().is_none();
    Url::parse(value)
        .ok()
        .filter(|url| matches!(url.scheme(), "https" | "http") && is_bare(url) && has_no_more(url))
        .map(|_| value.to_owned())
        .ok_or_else(|| "wants a URL such as http://collector:4318, without a user and a query".to_owned())
}

/// Kept byte for byte: the issuer's own configuration must name it just so.
pub(super) fn issuer(value: &str) -> Read<String> {
    let url = Url::parse(value).ok().filter(Url::has_host);
    let Some(url) = url.filter(|url| matches!(url.scheme(), "http" | "https")) else {
        return Err("wants the issuer's URL such as https://gitlab.com".to_owned());
    };
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err("wants https; http is for this machine only".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("wants no user or password in it".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("wants no ? or # part".to_owned());
    }
    Ok(value.to_owned())
}

pub(super) fn email(value: &str) -> Read<String> {
    let parts = value.split_once('@');
    let is_email =
        parts.is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'));
    if is_email && !value.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Ok(value.to_owned());
    }
    Err("wants an e-mail address such as ops@example.com".to_owned())
}

pub(super) fn emails(value: &str) -> Read<Vec<String>> {
    items(value).map(email).collect()
}

/// E-mail addresses or domains, in lower case.
pub(super) fn allowed(value: &str) -> Read<Vec<String>> {
    let is_domain = |item: &str| Host::parse(item).is_ok_and(|host| matches!(host, Host::Domain(_)));
    let names_somebody = items(value).next().is_some();
    if names_somebody && items(value).all(|item| email(item).is_ok() || is_domain(item)) {
        return Ok(items(value).map(str::to_lowercase).collect());
    }
    Err("wants e-mail addresses or domains such as ops@example.com,example.org, separated by commas"
        .to_owned())
}

pub(super) fn log_filter(value: &str) -> Read<String> {
    tracing_subscriber::EnvFilter::builder()
        .parse(value)
        .map(|_| value.to_owned())
        .map_err(|_| "wants a level or a filter such as info or info,mooring=debug".to_owned())
}

/// Thirty-two bytes of base64 in either alphabet, with or without padding; comes back in the standard form,
/// so that equal keys are equal text.
pub(super) fn encryption_key(value: &str) -> Read<Zeroizing<String>> {
    let indifferent =
        general_purpose::GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let in_standard_alphabet = |letter| match letter {
        '-' => '+',
        '_' => '/',
        other => other,
    };
    let standard: Zeroizing<String> =
        Zeroizing::new(value.trim().chars().map(in_standard_alphabet).collect());
    let key = general_purpose::GeneralPurpose::new(&alphabet::STANDARD, indifferent)
        .decode(standard.as_str())
        .map(Zeroizing::new)
        .ok()
        .filter(|key| key.len() == 32)
        .ok_or_else(|| "wants 32 bytes in base64; `mooring encryption-key generate` makes them".to_owned())?;
    if key.iter().all(|byte| *byte == key[0]) {
        return Err("wants random bytes; `mooring encryption-key generate` makes them".to_owned());
    }
    Ok(Zeroizing::new(BASE64_STANDARD.encode(&*key)))
}

/// Whether a URL names this machine and nothing else.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

fn is_https_or_loopback(url: &Url) -> bool {
    let is_bare = url.username().is_empty() && url.password().is_none();
    is_bare && (url.scheme() == "https" || url.scheme() == "http" && is_loopback(url))
}

/// The parts of a comma-separated list, without spaces and empty ones.
pub(super) fn items(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty())
}
