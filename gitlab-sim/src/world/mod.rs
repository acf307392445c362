//! Everything the simulator knows, in memory, behind one lock. No await happens while it is held, so each
//! request is one transaction.

mod oauth;
mod people;
mod places;
mod tokens;

use std::collections::{BTreeMap, HashMap};

use time::{Duration, OffsetDateTime};

pub use oauth::{App, Link, OAuthPair};
pub(crate) use oauth::{Application, Grant, OauthRow, RowEnd};
pub(crate) use people::User;
pub use people::{UserId, UserState};
pub(crate) use places::{Group, Hook, Member, Project};
pub(crate) use tokens::Kind;
pub(crate) use tokens::Pat;
pub use tokens::{MintedToken, ServiceOwner};

use crate::clock;
use crate::counts::{Counts, Seen};
use crate::endpoint::Endpoint;
use crate::fault::Faults;
use crate::options::Options;

/// The whole state.
pub(crate) struct World {
    pub(crate) options: Options,
    /// The address it listens on, with the base path.
    pub(crate) url: String,
    pub(crate) offset: Duration,
    pub(crate) users: BTreeMap<UserId, User>,
    pub(crate) signed_in: Option<UserId>,
    pub(crate) groups: BTreeMap<i64, Group>,
    pub(crate) projects: BTreeMap<i64, Project>,
    pub(crate) project_members: BTreeMap<(i64, UserId), Member>,
    pub(crate) group_members: BTreeMap<(i64, UserId), Member>,
    pub(crate) hooks: BTreeMap<i64, Hook>,
    pub(crate) applications: BTreeMap<String, Application>,
    pub(crate) grants: HashMap<String, Grant>,
    pub(crate) rows: Vec<OauthRow>,
    pub(crate) by_access: HashMap<String, usize>,
    pub(crate) by_refresh: HashMap<String, usize>,
    pub(crate) pats: Vec<Pat>,
    pub(crate) by_pat: HashMap<String, usize>,
    pub(crate) maintenance: bool,
    pub(crate) counts: Counts,
    pub(crate) seen: BTreeMap<Endpoint, Seen>,
    pub(crate) faults: Faults,
    last_id: i64,
}

impl World {
    pub(crate) fn new(options: Options, url: String) -> Self {
        Self {
            options,
            url,
            offset: Duration::ZERO,
            users: BTreeMap::new(),
            signed_in: None,
            groups: BTreeMap::new(),
            projects: BTreeMap::new(),
            project_members: BTreeMap::new(),
            group_members: BTreeMap::new(),
            hooks: BTreeMap::new(),
            applications: BTreeMap::new(),
            grants: HashMap::new(),
            rows: Vec::new(),
            by_access: HashMap::new(),
            by_refresh: HashMap::new(),
            pats: Vec::new(),
            by_pat: HashMap::new(),
            maintenance: false,
            counts: Counts::default(),
            seen: BTreeMap::new(),
            faults: Faults::default(),
            last_id: 0,
        }
    }

    pub(crate) fn now(&self) -> OffsetDateTime {
        clock::now(self.offset)
    }

    /// Moves the clock forward.
    pub(crate) fn advance(&mut self, seconds: u64) {
        self.offset += Duration::seconds(i64::try_from(seconds).unwrap_or(i64::MAX / 2));
    }

    /// The life of OAuth access tokens from now on, refreshed ones too.
    pub(crate) fn set_life(&mut self, seconds: u64) {
        self.options.access_token_life = std::time::Duration::from_secs(seconds);
    }

    /// The next id; ids grow over all tables, so that a mix-up of two kinds shows.
    pub(crate) fn next_id(&mut self) -> i64 {
        self.last_id += 1;
        self.last_id
    }

    /// The address in links: `external_url` when set, else where it listens.
    pub(crate) fn links(&self) -> &str {
        self.options.external_url.as_deref().unwrap_or(&self.url)
    }

    /// The host in links, for e-mail addresses of bots.
    pub(crate) fn host(&self) -> String {
        let host = url::Url::parse(self.links()).ok().and_then(|url| url.host_str().map(str::to_owned));
        host.unwrap_or_else(|| "gitlab.example.com".to_owned())
    }
}
