//! Which connection is for where git goes: `MOORING_CONNECTION` names one, or several with their places.

use super::request::GitRequest;

/// `NAME`, or `HOST[/PATH]=NAME` more than once, with commas between; at most one without a place, for the rest.
#[derive(Debug)]
pub(super) struct Choice(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    /// Empty: anywhere.
    host: String,
    path: String,
    connection: String,
}

impl Choice {
    pub(super) fn parse(setting: &str) -> Result<Self, &'static str> {
        let entries = setting.split(',').map(str::trim).filter(|text| !text.is_empty());
        let entries = entries.map(Entry::parse).collect::<Result<Vec<_>, _>>()?;
        if entries.iter().filter(|entry| entry.host.is_empty()).count() > 1 {
            return Err(
                "wants a place before all names but one, as in gitlab.example.com/acme=NAME,gitlab.com=NAME",
            );
        }
        if entries.is_empty() {
            return Err("wants the id or name of a connection");
        }
        Ok(Self(entries))
    }

    /// The connection whose place fits most closely. What keeps there from being one is for a person to read.
    pub(super) fn connection(&self, request: &GitRequest) -> Result<&str, &'static str> {
        let fits = |entry: &&Entry| entry.host.is_empty() || request.is_at(&entry.host, &entry.path);
        let best = self.0.iter().filter(fits).max_by_key(|entry| (!entry.host.is_empty(), entry.path.len()));
        let has_path = |entry: &Entry| request.is_at(&entry.host, "") && !entry.path.is_empty();
        match best {
            Some(best) => Ok(&best.connection),
            None if !request.says_path() && self.0.iter().any(has_path) => {
                Err("MOORING_CONNECTION names paths here: git config --global credential.useHttpPath true")
            }
            None => Err("MOORING_CONNECTION names no connection for where git goes."),
        }
    }
}

impl Entry {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let Some((place, connection)) = text.split_once('=') else {
            return Ok(Self { host: String::new(), path: String::new(), connection: text.to_owned() });
        };
        let place = place.trim();
        let place = place.strip_prefix("https://").unwrap_or(place).trim_end_matches('/');
        let (host, path) = place.split_once('/').unwrap_or((place, ""));
        if host.is_empty() || host.ends_with(':') || connection.trim().is_empty() {
            return Err("wants HOST=NAME or HOST/PATH=NAME, without a scheme");
        }
        let path = path.trim_matches('/').to_owned();
        Ok(Self { host: host.to_owned(), path, connection: connection.trim().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(setting: &str, host: &str, path: &str) -> Result<String, &'static str> {
        let path = if path.is_empty() { String::new() } else { format!("path={path}\n") };
        let request = GitRequest::read(format!("protocol=https\nhost={host}\n{path}").as_bytes());
        Choice::parse(setting)?.connection(&request.expect("a request")).map(str::to_owned)
    }

    #[test]
    fn one_name_is_for_everywhere() {
        assert_eq!(chosen("acme review", "gitlab.com", "").unwrap(), "acme review");
    }

    #[test]
    fn the_closest_place_wins() {
        let several = "gitlab.com=all, https://gitlab.com/acme/=acme,gitlab.com/acme/web=web,rest";
        for (host, path, connection) in [
            ("gitlab.com", "acme/web.git", "web"),
            ("gitlab.com", "acme/web/sub.git", "web"),
            ("gitlab.com", "acme/website.git", "acme"),
            ("gitlab.com", "acme2/web.git", "all"),
            ("gitlab.com", "", "all"),
            ("gitlab.com:8443", "acme/web.git", "rest"),
            ("other.example", "", "rest"),
        ] {
            assert_eq!(chosen(several, host, path).unwrap(), connection, "{host} {path}");
        }
    }

    #[test]
    fn a_place_that_is_not_there_is_told() {
        assert!(chosen("gitlab.com=a", "other.example", "").unwrap_err().contains("no connection"));
        assert!(chosen("gitlab.com/acme=a", "gitlab.com", "").unwrap_err().contains("useHttpPath"));
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for bad in ["a,b", "=a", "gitlab.com=", ",", "http://gitlab.com=a", "/acme=a"] {
            assert!(Choice::parse(bad).is_err(), "{bad:?}");
        }
    }
}
