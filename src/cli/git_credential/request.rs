//! What git says: lines of `key=value` up to an empty one (git documentation, "git-credential", "INPUT/OUTPUT FORMAT").

use crate::cli::{Failure, client::HandOut};
use percent_encoding::percent_decode_str;
use url::{Origin, Url};
use zeroize::Zeroizing;

/// Where git goes, and what it was refused with. No `Debug`: a password may be in it.
#[derive(Default)]
pub(super) struct GitRequest {
    protocol: String,
    /// With the port, if one was typed.
    host: String,
    /// Without a slash at its beginning; git says it only with `credential.useHttpPath`.
    path: Option<String>,
    username: Option<String>,
    pub(super) password: Option<Zeroizing<String>>,
}

/// Input that no git sends. It is not repeated: a password may be in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

impl From<Malformed> for Failure {
    fn from(Malformed(why): Malformed) -> Self {
        Self::Usage(why.to_owned())
    }
}

impl GitRequest {
    /// Reads all lines. Keys that are not known are passed over; of one that comes twice the last counts.
    pub(super) fn read(input: &[u8]) -> Result<Self, Malformed> {
        let mut request = Self::default();
        for line in input.split(|byte| *byte == b'\n').take_while(|line| !line.is_empty()) {
            let mut halves = line.splitn(2, |byte| *byte == b'=');
            let (Some(key), Some(value)) = (halves.next(), halves.next()) else {
                return Err(Malformed("A line of the request is not key=value."));
            };
            if line.contains(&0) || line.contains(&b'\r') {
                return Err(Malformed("A line of the request holds NUL or a carriage return."));
            }
            request.take(key, value)?;
        }
        request.check()?;
        Ok(request)
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), Malformed> {
        let text =
            || str::from_utf8(value).map(str::to_owned).map_err(|_| Malformed("The request is not UTF-8."));
        match key {
            b"protocol" => self.protocol = text()?.to_ascii_lowercase(),
            b"host" => self.host = text()?,
            b"path" => self.path = Some(text()?),
            b"username" => self.username = Some(text()?),
            b"password" => self.password = Some(Zeroizing::new(text()?)),
            b"url" => self.take_url(&text()?)?,
            _ => {}
        }
        Ok(())
    }

    /// As if its pieces had been given one by one.
    fn take_url(&mut self, text: &str) -> Result<(), Malformed> {
        let url = Url::parse(text).map_err(|_| Malformed("The request's url is not a URL."))?;
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(std::borrow::Cow::into_owned);
        let bad = |_| Malformed("The request's url is not UTF-8.");
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        url.scheme().clone_into(&mut self.protocol);
        self.host = format!("{}{port}", url.host_str().unwrap_or_default());
        self.path =
            Some(decoded(url.path().trim_start_matches('/')).map_err(bad)?).filter(|path| !path.is_empty());
        self.username = Some(decoded(url.username()).map_err(bad)?).filter(|user| !user.is_empty());
        Ok(())
    }

    fn check(&self) -> Result<(), Malformed> {
        let texts = [Some(&self.protocol), Some(&self.host), self.path.as_ref(), self.username.as_ref()];
        if texts.into_iter().flatten().any(|text| text.chars().any(char::is_control)) {
            return Err(Malformed("The request holds a control character."));
        }
        if self.is_http() && self.origin().is_none() {
            return Err(Malformed("The request names no host."));
        }
        let odd =
            |path: &String| path.contains('\\') || path.split('/').any(|part| part == "." || part == "..");
        if self.path.as_ref().is_some_and(odd) {
            return Err(Malformed("The request's path leads elsewhere."));
        }
        Ok(())
    }

    /// Other protocols are not ours.
    pub(super) fn is_http(&self) -> bool {
        matches!(self.protocol.as_str(), "http" | "https")
    }

    fn origin(&self) -> Option<Origin> {
        origin(&self.protocol, &self.host)
    }

    /// Whether git goes to this host (with its port), and below this path if there is one.
    pub(super) fn is_at(&self, host: &str, path: &str) -> bool {
        self.origin().is_some_and(|ours| origin(&self.protocol, host) == Some(ours))
            && (path.is_empty() || self.path().is_some_and(|ours| is_below(ours, path)))
    }

    fn path(&self) -> Option<&str> {
        self.path.as_deref().map(|path| path.trim_start_matches('/'))
    }

    pub(super) fn says_path(&self) -> bool {
        self.path.is_some()
    }

    /// Whether what belongs to this base URL may go where git goes; the reason if not.
    pub(super) fn is_below(&self, base_url: &str) -> Result<(), &'static str> {
        const ELSEWHERE: &str = "git goes elsewhere, so it gets nothing.";
        let base = Url::parse(base_url).map_err(|_| ELSEWHERE)?;
        if self.origin() != Some(base.origin()) {
            return Err(ELSEWHERE);
        }
        let below = percent_decode_str(base.path().trim_matches('/')).decode_utf8().map_err(|_| ELSEWHERE)?;
        match self.path() {
            _ if below.is_empty() => Ok(()),
            None => Err("git has to say the path as well: git config --global credential.useHttpPath true"),
            Some(path) if is_below(path, &below) => Ok(()),
            Some(_) => Err(ELSEWHERE),
        }
    }

    /// Whether git asks for no other user than the one that goes with the token.
    pub(super) fn takes(&self, handed_out: &HandOut) -> Result<(), &'static str> {
        let is_it = |user: &String| user.is_empty() || *user == handed_out.git_username;
        if self.username.as_ref().is_none_or(is_it) {
            return Ok(());
        }
        Err("its user is another than the one in the address, which can be left out.")
    }
}

/// A host with a port and nothing else, as an origin.
fn origin(protocol: &str, host: &str) -> Option<Origin> {
    if host.is_empty()
        || host.contains(|c: char| c.is_whitespace() || c.is_control() || "/\\?#@%".contains(c))
    {
        return None;
    }
    Url::parse(&format!("{protocol}://{host}/")).ok().map(|url| url.origin())
}

/// The same, or below it; a repository's own path may be said without its ending.
fn is_below(path: &str, above: &str) -> bool {
    let rest = path.strip_prefix(above.trim_matches('/'));
    rest.is_some_and(|rest| {
        rest.is_empty() || rest.starts_with('/') || rest == ".git" || rest.starts_with(".git/")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> GitRequest {
        GitRequest::read(text.as_bytes()).expect("it is a request")
    }

    #[test]
    fn what_git_says_is_read_and_what_it_may_say_later_passed_over() {
        let text = "capability[]=authtype\nprotocol=https\nhost=gitlab.com\npath=acme/web.git\nwwwauth[]=Basic realm=\"a=b\"\nnew=\n\nprotocol=http\n";
        let request = read(text);
        assert!(request.is_http() && request.is_below("https://gitlab.com").is_ok());
        assert_eq!(request.path.as_deref(), Some("acme/web.git"));
        let request = read("url=https://oauth2@GitLab.com:443/a%20b/c.git\n");
        assert!(request.is_at("gitlab.com", "a b") && request.username.as_deref() == Some("oauth2"));
    }

    #[test]
    fn what_no_git_sends_is_refused() {
        for bad in [
            "protocol=https\nhost=gitlab.com\r\n",
            "protocol=https\nhost=gitlab.com\0.evil\n",
            "protocol\n",
            "protocol=https\nhost=\n",
            "protocol=https\n",
            "protocol=https\nhost=gitlab.com/x\n",
            "protocol=https\nhost=user@gitlab.com\n",
            "protocol=https\nhost=git lab.com\n",
            "protocol=https\nhost=gitlab.com\npath=gitlab/../evil/x.git\n",
            "url=https://gitlab.com/a%0ahost=evil\n",
            "url=nonsense\n",
        ] {
            assert!(GitRequest::read(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(GitRequest::read(b"protocol=https\nhost=\xff\n").is_err());
    }

    #[test]
    fn a_token_goes_to_its_scheme_host_port_and_path_alone() {
        let said = |protocol: &str, host: &str, path: &str| {
            let path = if path.is_empty() { String::new() } else { format!("path={path}\n") };
            read(&format!("protocol={protocol}\nhost={host}\n{path}"))
        };
        let at = |request: GitRequest, base: &str| request.is_below(base).is_ok();
        assert!(at(said("https", "gitlab.com", ""), "https://gitlab.com"));
        assert!(at(said("HTTPS", "GitLab.com:443", "a/b.git"), "https://gitlab.com"));
        assert!(at(said("http", "127.0.0.1:8080", ""), "http://127.0.0.1:8080"));
        assert!(at(said("https", "[2001:db8::1]:8443", ""), "https://[2001:db8::1]:8443"));
        for (protocol, host) in [
            ("http", "gitlab.com"),
            ("https", "gitlab.com:8443"),
            ("https", "gitlab.com."),
            ("https", "gitlab.com.evil.example"),
            ("https", "evil-gitlab.com"),
            ("https", "www.gitlab.com"),
        ] {
            assert!(!at(said(protocol, host, ""), "https://gitlab.com"), "{protocol} {host}");
        }
        let sub = "https://example.com/gitlab";
        assert!(at(said("https", "example.com", "gitlab/acme/web.git"), sub));
        assert!(!at(said("https", "example.com", "gitlab2/acme/web.git"), sub));
        assert!(!at(said("https", "example.com", "other"), sub));
        let why = said("https", "example.com", "").is_below(sub).unwrap_err();
        assert!(why.contains("credential.useHttpPath"), "{why}");
    }
}
