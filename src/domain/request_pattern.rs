//! Which requests an API key may send through the proxy: a method and a path, segment by segment.
//!
//! The rule it guards: what is not certainly allowed is refused. A request's path is compared as it was sent, each segment
//! decoded once, and spellings that servers read differently match nothing.

use percent_encoding::percent_decode_str;
use std::{fmt, str::FromStr};

/// One method, or any, with a pattern of paths below the base URL. Prints as it is written: `GET /api/v4/projects/**`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestPattern {
    /// `None`: any.
    method: Option<String>,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Exactly(String),
    /// `*`: any one segment.
    One,
    /// `**` at the end: one segment or more.
    Rest,
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("Give a method and a path, such as GET /api/v4/projects/**.")]
    Shape,
    #[error(
        "Give the method in capital letters: GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE, or * for any."
    )]
    Method,
    #[error("* and ** stand for whole segments of the path, and ** stands at its end.")]
    Wildcard,
    #[error("A path has no empty segment, no . or .., no query, and only characters that a path can have.")]
    Path,
}

const METHODS: [&str; 7] = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"];

impl FromStr for RequestPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let (method, path) = text.trim().split_once(' ').ok_or(PatternError::Shape)?;
        if method != "*" && !METHODS.contains(&method) {
            return Err(PatternError::Method);
        }
        let path = path.trim_start().strip_prefix('/').ok_or(PatternError::Shape)?;
        let segments: Vec<_> = path.split('/').map(segment).collect::<Result<_, _>>()?;
        let before_last = segments.len() - 1;
        if segments[..before_last].contains(&Segment::Rest) {
            return Err(PatternError::Wildcard);
        }
        Ok(Self { method: (method != "*").then(|| method.to_owned()), segments })
    }
}

fn segment(raw: &str) -> Result<Segment, PatternError> {
    match raw {
        "*" => Ok(Segment::One),
        "**" => Ok(Segment::Rest),
        _ if raw.contains('*') => Err(PatternError::Wildcard),
        _ if raw.contains(['?', '#', ' ']) => Err(PatternError::Path),
        _ => plain(raw).map(Segment::Exactly).ok_or(PatternError::Path),
    }
}

/// A segment that all servers read alike, decoded. `None`: it is none.
fn plain(raw: &str) -> Option<String> {
    let decoded = percent_decode_str(raw).decode_utf8().ok()?;
    let is_odd = decoded.is_empty()
        || decoded.split('/').any(|part| part == "." || part == ".." || part.is_empty())
        || decoded.contains('\\')
        || decoded.chars().any(char::is_control)
        // Some servers cut a segment off at a semicolon.
        || raw.contains(';')
        || has_loose_percent(raw);
    (!is_odd).then(|| decoded.into_owned())
}

/// A percent sign that encodes nothing: one server keeps it, another refuses or drops it.
fn has_loose_percent(raw: &str) -> bool {
    let is_code = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|b| b.is_ascii_hexdigit());
    raw.split('%').skip(1).any(|rest| !is_code(rest))
}

impl RequestPattern {
    /// Whether this allows a request with the raw path below the base URL, without its leading slash. GET allows HEAD.
    pub fn allows(&self, method: &str, path: &str) -> bool {
        let is_meant = |own: &String| own == method || (own == "GET" && method == "HEAD");
        if !self.method.as_ref().is_none_or(is_meant) {
            return false;
        }
        let Some(given) = path.split('/').map(plain).collect::<Option<Vec<_>>>() else { return false };
        let (wanted, open) = match self.segments.split_last() {
            Some((Segment::Rest, before)) => (before, true),
            _ => (&self.segments[..], false),
        };
        let fits = if open { given.len() > wanted.len() } else { given.len() == wanted.len() };
        fits && wanted.iter().zip(&given).all(|(wanted, given)| wanted.is(given))
    }
}

impl Segment {
    fn is(&self, given: &str) -> bool {
        match self {
            Self::Exactly(text) => text == given,
            Self::One | Self::Rest => true,
        }
    }
}

impl fmt::Display for RequestPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.method.as_deref().unwrap_or("*"))?;
        for segment in &self.segments {
            match segment {
                Segment::Exactly(text) => write!(f, "/{}", encoded(text))?,
                Segment::One => f.write_str("/*")?,
                Segment::Rest => f.write_str("/**")?,
            }
        }
        Ok(())
    }
}

/// So that it reads back as what it is.
fn encoded(text: &str) -> String {
    const KEPT: &percent_encoding::AsciiSet =
        &percent_encoding::CONTROLS.add(b'/').add(b'%').add(b'?').add(b'#').add(b' ').add(b'*').add(b';');
    percent_encoding::utf8_percent_encode(text, KEPT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> RequestPattern {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_pattern_allows_what_it_says() {
        for (pattern_, method, path) in [
            ("GET /api/v4/user", "GET", "api/v4/user"),
            ("GET /api/v4/user", "HEAD", "api/v4/user"),
            ("* /api/v4/user", "DELETE", "api/v4/user"),
            ("GET /api/v4/projects/*", "GET", "api/v4/projects/12"),
            ("GET /api/v4/projects/*", "GET", "api/v4/projects/acme%2Fweb"),
            ("GET /api/v4/projects/acme%2Fweb", "GET", "api/v4/projects/acme%2fweb"),
            ("GET /api/v4/projects/acme%2Fweb", "GET", "api/v4/projects/%61cme%2Fweb"),
            ("GET /api/v4/projects/**", "GET", "api/v4/projects/12/issues/3"),
            ("GET /api/v4/projects/*/issues/**", "GET", "api/v4/projects/12/issues/3"),
            ("GET /group/repo.git/info/refs", "GET", "group/repo.git/info/refs"),
            ("POST /group/*/git-upload-pack", "POST", "group/repo.git/git-upload-pack"),
            ("GET /**", "GET", "api/v4/projects/1/repository/files/src%2Fmain.rs/raw"),
            ("GET /api/v4/caf%C3%A9", "GET", "api/v4/café"),
        ] {
            assert!(pattern(pattern_).allows(method, path), "{pattern_}: {method} {path}");
        }
    }

    #[test]
    fn no_spelling_walks_around_a_pattern() {
        let narrow = pattern("GET /api/v4/projects/12/issues/**");
        for path in [
            "api/v4/projects/12/issues",
            "api/v4/projects/12/issues/",
            "api/v4/projects/12/issues//1",
            "api/v4/projects/13/issues/1",
            "api/v4/projects/12/issues/../members",
            "api/v4/projects/12/issues/..%2Fmembers",
            "api/v4/projects/12/issues/%2e%2e/members",
            "api/v4/projects/12/issues/%2E%2e%2fmembers",
            "api/v4/projects/12/issues/.%2fmembers",
            "api/v4/projects/12/issues/..%5Cmembers",
            "api/v4/projects/12/issues/1%5C..",
            "api/v4/projects/12/issues/1%00",
            "api/v4/projects/12/issues/1;/members",
            "api/v4/projects/12;x/issues/1",
            "api/v4/projects/12/issues/1%2F",
            "api/v4/projects/12/issues/%2Fmembers",
            "api/v4/projects/12/issues/%zz",
            "api/v4/projects/12/issues/%",
            "api/v4/projects/12/issues/%ff",
            "api/v4/projects/12%2Fissues/1",
            "api/v4/projects/12%2fissues%2f1",
            "api/v4//projects/12/issues/1",
            "/api/v4/projects/12/issues/1",
            "api/v4/projects/12/Issues/1",
            "API/v4/projects/12/issues/1",
            "api/v4/projects/12.json/issues/1",
            "api/v4/projects/12/issues.json/1",
            "api/v4/projects/12/issues%252F1/1",
            "api%2Fv4/projects/12/issues/1",
            "",
        ] {
            assert!(!narrow.allows("GET", path), "{path}");
        }
        for method in ["POST", "DELETE", "get", "Get", "OPTIONS", "PROPFIND", ""] {
            assert!(!narrow.allows(method, "api/v4/projects/12/issues/1"), "{method}");
        }
        let exact = pattern("GET /api/v4/user");
        for path in ["api/v4/user.json", "api/v4/user/", "api/v4/user/keys", "api/v4/users", "api/v4/use"] {
            assert!(!exact.allows("GET", path), "{path}");
        }
        assert!(!pattern("POST /api/v4/user").allows("HEAD", "api/v4/user"));
        assert!(!pattern("GET /a/*").allows("GET", "a/") && !pattern("GET /a/**").allows("GET", "a/"));
    }

    #[test]
    fn a_pattern_reads_back_as_it_prints() {
        for text in ["GET /**", "* /api/v4/projects/acme%2Fweb/*/a%20b%25c", "POST /g/r.git/git-upload-pack"]
        {
            assert_eq!(pattern(text).to_string(), text);
        }
        for (text, why) in [
            ("", PatternError::Shape),
            ("GET", PatternError::Shape),
            ("GET api", PatternError::Shape),
            ("get /api", PatternError::Method),
            ("GET,POST /api", PatternError::Method),
            ("TRACE /api", PatternError::Method),
            ("GET /a*", PatternError::Wildcard),
            ("GET /**/a", PatternError::Wildcard),
            ("GET /***", PatternError::Wildcard),
            ("GET /", PatternError::Path),
            ("GET /a//b", PatternError::Path),
            ("GET /a/", PatternError::Path),
            ("GET /a/../b", PatternError::Path),
            ("GET /a/%2e%2e/b", PatternError::Path),
            ("GET /a?b=c", PatternError::Path),
            ("GET /a;b", PatternError::Path),
            ("GET /a b", PatternError::Path),
            ("GET /a%", PatternError::Path),
        ] {
            assert_eq!(text.parse::<RequestPattern>(), Err(why), "{text:?}");
        }
    }
}
