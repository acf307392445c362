//! What a run stands on: one database, one GitLab, a few processes, and what the machine knows to be true.

use super::{
    behind::Behind,
    op::{CONNECTIONS, Place, REPLICAS, Table},
    replica::{Ground, Replica, TENDING},
};
use crate::support::{app::On, postgres};
use gitlab_sim::{Gate, OAuthPair, Options, Sim, UserId};
use mooring::{
    disconnect::Disconnect,
    domain::{
        Actor, Clock, Connection, ConnectionId, Credential, CredentialFacts, EventKind, Method, Renewal,
        Scopes, Secret, TokenKind,
    },
    providers::{GitLab, Provider},
    renewal::RenewalError,
    store::{GivenUp, Held, Location, NextCredential, Store},
};
use std::{collections::BTreeMap, sync::Arc};
use tempfile::TempDir;
use time::Duration;
use tokio::task::JoinHandle;

/// What a caller got.
pub(super) struct Landed {
    pub(super) renewed: Result<Arc<Held>, RenewalError>,
    /// It got a token that was dead when it got it.
    pub(super) is_dead: bool,
    /// That had to be expected when it asked: an answer was on its way, or in a journal to be replayed.
    pub(super) is_excused: bool,
}

pub(super) struct Rig {
    pub(super) ground: Ground,
    alice: UserId,
    pub(super) behind: Behind,
    /// A person's way to the database: a process that never ends.
    pub(super) store: Store,
    pub(super) disconnect: Disconnect,
    pub(super) replicas: Vec<Replica>,
    pub(super) subjects: Vec<Subject>,
    pub(super) aloft: Option<Aloft>,
    pub(super) waiting: Vec<Waiting>,
    /// Requests that never arrived. Their gates stay shut.
    pub(super) lost_on_the_wire: Vec<Gate>,
    pub(super) known: Known,
    folder: TempDir,
}

/// A connection, as it was last seen.
pub(super) struct Subject {
    pub(super) id: ConnectionId,
    pub(super) generation: i64,
    pub(super) access_token: String,
    /// Each grant has scopes of its own, which its refreshes keep: they tell whose credential is stored.
    pub(super) scopes: Scopes,
    /// Its process ended between keeping an answer and keeping the credential, because this table refused it.
    pub(super) to_be_replayed: Option<Table>,
}

/// A renewal whose request or answer is under way.
pub(super) struct Aloft {
    pub(super) at: usize,
    pub(super) id: ConnectionId,
    pub(super) place: Place,
    pub(super) gate: Gate,
    pub(super) flight: JoinHandle<Landed>,
    pub(super) seconds: u64,
}

/// Work that cannot end yet, because a lease or a request under way holds it up.
pub(super) struct Waiting {
    pub(super) at: usize,
    pub(super) work: Work,
}

pub(super) enum Work {
    Asked(ConnectionId, JoinHandle<Landed>),
    Round(JoinHandle<()>),
}

/// What the machine knows of the run so far.
#[derive(Default)]
pub(super) struct Known {
    /// Answers may get lost in this run.
    pub(super) may_lose: bool,
    /// GitLab did something that nobody may have learned of.
    pub(super) lost: bool,
    /// A token may be sent again: a request was under way for longer than its lease, or an answer lay in the
    /// spool of a process that came back late.
    pub(super) doubted: bool,
    pub(super) false_noes: usize,
    grants: u32,
    /// Entries of the journal that went with their connection.
    pub(super) entries_gone: i64,
    pub(super) entries: i64,
    pub(super) token_requests: u64,
}

impl Rig {
    pub(super) async fn start(on: On, may_lose: bool) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let sim = Sim::start(Options::default()).await;
        let alice = sim.add_user("alice");
        let application = sim.add_application("http://localhost/oauth/gitlab/callback", &["api"]);
        let location = match on {
            On::Sqlite => Location::Sqlite(folder.path().join("mooring.db")),
            On::Postgres => Location::Postgres(postgres::database().await.url()),
        };
        let key = mooring::vault::generate_key().to_string();
        let ground = Ground { location, key, clock: Clock::default(), sim, application };
        let store = ground.open_store().await;
        let disconnect = Disconnect {
            store: store.clone(),
            provider: Provider::new(GitLab),
            instances: ground.instances(),
            clock: ground.clock.clone(),
        };
        let mut replicas = Vec::new();
        for nth in 0..REPLICAS {
            replicas.push(Replica::start(&ground, folder.path().join(format!("spool-{nth}"))).await);
        }
        let behind = Behind::connect(&ground.location).await;
        let mut rig = Self {
            ground,
            alice,
            behind,
            store,
            disconnect,
            replicas,
            subjects: Vec::new(),
            aloft: None,
            waiting: Vec::new(),
            lost_on_the_wire: Vec::new(),
            known: Known { may_lose, ..Known::default() },
            folder,
        };
        for of in 0..CONNECTIONS {
            rig.connect(of).await;
        }
        rig
    }

    pub(super) fn sim(&self) -> &Sim {
        &self.ground.sim
    }

    pub(super) async fn held(&self, of: usize) -> Held {
        let held = self.store.open_credential(self.subjects[of].id).await.expect("the store answers");
        held.expect("the connection is there")
    }

    /// Makes a connection, in the place of the one before.
    pub(super) async fn connect(&mut self, of: usize) {
        let credential = self.consent();
        let connection = self.connection(&credential);
        self.store.add_connection(&connection, &credential, &Actor::Mooring).await.expect("it is added");
        let subject = Subject {
            id: connection.id,
            generation: 1,
            access_token: credential.access_token.expose().to_owned(),
            scopes: credential.scopes,
            to_be_replayed: None,
        };
        if of < self.subjects.len() {
            self.subjects[of] = subject;
        } else {
            self.subjects.push(subject);
        }
    }

    /// A person brings a new grant, and wins over every renewal in the background.
    pub(super) async fn reauthorize(&mut self, of: usize) {
        let credential = self.consent();
        let was = self.held(of).await;
        let next = self.connection(&credential);
        let next = Connection { id: was.connection.id, name: was.connection.name.clone(), ..next };
        let renew_at = next.credential.renew_at;
        let swapped = NextCredential { credential: &credential, renew_at };
        let kind = EventKind::Reauthorized;
        let swap =
            self.store.replace_credential(&was.connection, &next, swapped, kind, &Actor::Mooring).await;
        assert!(swap.expect("the store answers").is_some(), "nobody else is at work");
        let given_up = GivenUp::of(&was.connection, &was.credential);
        self.store.owe_revocation(&given_up, self.ground.clock.now()).await.expect("the store answers");
        self.subjects[of].scopes = credential.scopes;
        self.subjects[of].to_be_replayed = None;
    }

    /// A grant unlike every other.
    fn consent(&mut self) -> Credential {
        self.known.grants += 1;
        let scopes: Vec<_> = (0..16)
            .filter(|bit| self.known.grants >> bit & 1 == 1)
            .map(|bit| format!("scope_{bit}"))
            .collect();
        let names: Vec<_> = scopes.iter().map(String::as_str).collect();
        let OAuthPair { access, refresh } =
            self.sim().mint_oauth(self.alice, &self.ground.application, &names);
        let now = self.ground.clock.now();
        Credential {
            access_token: Secret::new(access),
            obtained_at: now,
            expires_at: Some(now + Duration::hours(2)),
            scopes: scopes.iter().cloned().collect(),
            renewal: Renewal::Refresh(Secret::new(refresh)),
        }
    }

    fn connection(&self, credential: &Credential) -> Connection {
        let (id, now) = (ConnectionId::fresh(), self.ground.clock.now());
        Connection {
            id,
            name: id.to_string(),
            description: None,
            tenant: None,
            tags: BTreeMap::new(),
            integration: Some("gitlab".into()),
            provider: "gitlab".into(),
            base_url: self.ground.base_url(),
            method: Method::OAuth,
            token_kind: TokenKind::OAuth,
            account: None,
            use_cases: Vec::new(),
            checks: Vec::new(),
            credential: CredentialFacts {
                generation: 1,
                scopes: credential.scopes.clone(),
                renewal: credential.renewal.kind(),
                obtained_at: credential.obtained_at,
                expires_at: credential.expires_at,
                renew_at: TENDING.renew_at(credential, 0.5),
                last_renewed_at: None,
                stopped: None,
                failure: None,
                rejections: 0,
                exported_at: None,
            },
            last_checked_at: None,
            last_used_at: None,
            breaker: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// Whether a renewal would have to wait for somebody else.
    pub(super) async fn is_busy(&self, at: usize, id: ConnectionId) -> bool {
        let own = self.aloft.as_ref().is_some_and(|aloft| aloft.id == id && aloft.at == at);
        own || self.behind.is_leased(id).await
    }

    /// Starts a process again after its end.
    pub(super) async fn start_again(&mut self, at: usize) {
        let spool = self.folder.path().join(format!("spool-{at}"));
        self.replicas[at] = Replica::start(&self.ground, spool).await;
    }
}
