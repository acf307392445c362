//! One call of a rotation, as the provider's half makes it: what each answer means, how often GitLab is asked,
//! and that no revoked token ever comes to a rotate path.

use async_trait::async_trait;
use gitlab_sim::{Endpoint, Fault, Sim, UserId, UserState};
use mooring::{
    domain::{BaseUrl, Credential, Reason, Renewal, Scopes, Secret},
    outbound::{CaBundle, Outbound},
    providers::{GitLab, Instance, KeepAnswer, Provider, ProviderApi, RenewError, Trouble},
};
use std::{net::TcpListener, sync::Mutex, time::Duration};

/// Remembers what it was given to keep.
#[derive(Default)]
struct Kept(Mutex<Vec<Vec<u8>>>);

#[async_trait]
impl KeepAnswer for Kept {
    async fn keep(&self, answer: &[u8]) {
        self.0.lock().unwrap().push(answer.to_vec());
    }
}

struct Story {
    sim: Sim,
    alice: UserId,
    here: Instance,
    kept: Kept,
}

impl Story {
    async fn start() -> Self {
        let sim = Sim::start(gitlab_sim::Options::default()).await;
        let (alice, here) = (sim.add_user("alice"), instance(&sim.url()));
        Self { sim, alice, here, kept: Kept::default() }
    }

    /// A fresh token that lives 30 days.
    fn token(&self, scopes: &[&str]) -> Credential {
        let end = self.sim.now().date() + time::Duration::days(30);
        let token = self.sim.mint_personal(self.alice, scopes, Some(end)).token;
        Credential {
            access_token: Secret::new(token),
            obtained_at: self.sim.now(),
            expires_at: Some(end.midnight().assume_utc()),
            scopes: scopes.iter().copied().collect(),
            renewal: Renewal::SelfRotate,
        }
    }

    async fn rotate(&self, old: &Credential) -> Result<Credential, RenewError> {
        let provider = Provider::new(GitLab);
        provider.renew(&self.here, old, None, &self.kept, self.sim.now()).await
    }

    fn is_live(&self, credential: &Credential) -> bool {
        self.sim.is_live(credential.access_token.expose())
    }

    /// How often a rotation was asked for since the last time.
    fn asked(&self) -> u64 {
        let counts = self.sim.counts();
        assert_eq!(counts.families_revoked, 0, "a revoked token was presented for rotation");
        self.sim.reset_counts();
        counts.of(Endpoint::RotateSelf)
    }
}

fn instance(url: &str) -> Instance {
    Instance {
        base_url: BaseUrl::parse_configured(url).expect("a base URL"),
        http: Outbound::trusted(&CaBundle::default()).expect("a client"),
        application: None,
    }
}

fn json(status: u16, body: &str) -> Fault {
    Fault::Json { status, body: body.into() }
}

/// What kind of failure it is, in a word.
fn kind(outcome: &Result<Credential, RenewError>) -> String {
    match outcome {
        Ok(_) => "rotated".into(),
        Err(RenewError::Rejected) => "rejected".into(),
        Err(RenewError::Uncertain { .. }) => "uncertain".into(),
        Err(RenewError::Refused { reason, .. }) => format!("refused: {reason}"),
        Err(RenewError::Unavailable { trouble, .. }) => format!("{trouble:?}"),
        Err(other) => format!("{other:?}"),
    }
}

#[tokio::test]
async fn a_rotation_keeps_its_answer_and_asks_once() {
    let story = Story::start().await;
    let old = story.token(&["api"]);
    let new = story.rotate(&old).await.unwrap();
    assert!(story.is_live(&new) && !story.is_live(&old));
    assert_eq!(new.expires_at, old.expires_at);
    let kept = story.kept.0.lock().unwrap().clone();
    assert_eq!(kept.len(), 1, "one answer, and it is the one that holds the token");
    let replayed = Provider::new(GitLab).read_renewal(&old, &kept[0], story.sim.now()).unwrap();
    assert!(replayed.access_token.is_same(&new.access_token));
    assert_eq!(replayed.expires_at, new.expires_at);
    assert_eq!(replayed.scopes, Scopes::parse("api"));
    let sent = story.sim.last_request(Endpoint::RotateSelf).unwrap();
    assert_eq!(sent.body, format!("{{\"expires_at\":\"{}\"}}", new.expires_at.unwrap().date()));
    assert_eq!(story.asked(), 1);
}

#[tokio::test]
async fn whatever_leaves_doubt_is_uncertain_and_is_not_sent_again() {
    let story = Story::start().await;
    let html = "<html>".to_owned();
    for (fault, lives) in [
        (Fault::DropBefore, true),
        (Fault::DropAfterCommit, false),
        (Fault::Truncate, false),
        (Fault::JsonAfter { status: 200, body: html.clone() }, false),
        (Fault::JsonAfter { status: 201, body: r#"{"token":null}"#.into() }, false),
        (Fault::JsonAfter { status: 500, body: "{}".into() }, false),
        (Fault::JsonAfter { status: 408, body: html.clone() }, false),
        (Fault::bad_gateway(), true),
        (Fault::Maintenance, true),
        (json(200, "{}"), true),
    ] {
        let old = story.token(&["api"]);
        story.sim.fault(Endpoint::RotateSelf, fault.clone());
        let outcome = story.rotate(&old).await;
        assert_eq!(kind(&outcome), "uncertain", "{fault:?}");
        assert_eq!(story.asked(), 1, "{fault:?}");
        assert_eq!(story.is_live(&old), lives, "{fault:?}");
        let asked_again = GitLab.probe(&story.here, &old.access_token).await;
        assert_eq!(asked_again.is_ok(), lives, "probing tells, and does no harm");
        if !lives {
            assert_eq!(kind(&story.rotate(&old).await), "rejected");
            assert_eq!(story.asked(), 0, "a dead token does not come near a rotate path");
        }
    }
}

#[tokio::test]
async fn a_clear_no_is_told_from_doubt() {
    let story = Story::start().await;
    let blocked = r#"{"message":"403 Forbidden - Your account has been blocked."}"#;
    let scope = r#"{"error":"insufficient_scope","error_description":"x","scope":"api"}"#;
    let revoked = r#"{"error":"invalid_token","error_description":"Token was revoked."}"#;
    for (fault, expected) in [
        (Fault::RateLimitedRack { retry_after: 40 }, "RateLimited"),
        (Fault::RateLimitedEndpoint, "RateLimited"),
        (json(403, blocked), "Account"),
        (json(403, scope), "refused: insufficient_scope"),
        (json(403, r#"{"message":"403 Forbidden"}"#), "refused: insufficient_role"),
        (Fault::status(403, "<html>"), "Instance"),
        (json(401, r#"{"message":"401 Unauthorized"}"#), "refused: provider_error"),
        (json(401, revoked), "rejected"),
        (Fault::status(401, "<html>"), "Instance"),
        (json(400, r#"{"message":"400 Bad request - Token already revoked"}"#), "rejected"),
        (json(400, r#"{"message":"400 Bad request - no"}"#), "refused: provider_error"),
        (json(404, r#"{"error":"404 Not Found"}"#), "refused: provider_error"),
        (json(405, r#"{"message":"405 Method Not Allowed"}"#), "refused: provider_error"),
        (Fault::status(404, "<html>"), "Instance"),
        (Fault::status(302, ""), "Instance"),
    ] {
        let old = story.token(&["api"]);
        story.sim.fault(Endpoint::RotateSelf, fault.clone());
        let outcome = story.rotate(&old).await;
        assert_eq!(kind(&outcome), expected, "{fault:?}");
        assert_eq!(story.asked(), 1, "{fault:?}");
        assert!(story.is_live(&old), "{fault:?}");
    }
    assert!(story.kept.0.lock().unwrap().is_empty(), "a refusal holds no token");
}

#[tokio::test]
async fn a_busy_provider_says_how_long_to_wait() {
    let story = Story::start().await;
    for endpoint in [Endpoint::TokenSelf, Endpoint::RotateSelf] {
        story.sim.fault(endpoint, Fault::RateLimitedRack { retry_after: 40 });
        let outcome = story.rotate(&story.token(&["api"])).await;
        let Err(RenewError::Unavailable { trouble: Trouble::RateLimited, retry_after, .. }) = outcome else {
            panic!("{}", kind(&outcome))
        };
        assert_eq!(retry_after, Some(Duration::from_secs(40)));
    }
}

#[tokio::test]
async fn a_token_that_cannot_prove_its_life_is_not_sent_to_be_rotated() {
    let story = Story::start().await;
    for (fault, expected) in [
        (Fault::DropBefore, "Instance"),
        (Fault::bad_gateway(), "Instance"),
        (Fault::status(200, "<html>"), "Instance"),
        (Fault::status(302, ""), "Instance"),
        (Fault::status(401, "<html>"), "Instance"),
        (json(401, r#"{"message":"401 Unauthorized"}"#), "rejected"),
        (json(403, r#"{"error":"insufficient_granular_scope"}"#), "refused: insufficient_scope"),
    ] {
        let old = story.token(&["api"]);
        story.sim.fault(Endpoint::TokenSelf, fault.clone());
        let outcome = story.rotate(&old).await;
        assert_eq!(kind(&outcome), expected, "{fault:?}");
        assert_eq!(story.asked(), 0, "{fault:?}");
    }
    let old = story.token(&["api"]);
    story.sim.set_user_state(story.alice, UserState::Blocked);
    assert_eq!(kind(&story.rotate(&old).await), "Account");
    story.sim.set_user_state(story.alice, UserState::Active);
    story.sim.expire(old.access_token.expose());
    assert_eq!(kind(&story.rotate(&old).await), "rejected");
    assert_eq!(story.asked(), 0);

    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let elsewhere = instance(&format!("http://{nobody}"));
    let outcome = GitLab.rotate_itself(&elsewhere, &old, None, &story.kept, story.sim.now()).await;
    assert_eq!(kind(&outcome), "NotSent");
}

#[tokio::test]
async fn a_token_without_the_scope_is_refused_by_gitlab_and_lives_on() {
    let story = Story::start().await;
    let old = story.token(&["read_api"]);
    let outcome = story.rotate(&old).await;
    assert!(matches!(&outcome, Err(RenewError::Refused { reason: Reason::InsufficientScope, message })
        if message.contains("self_rotate")));
    assert!(story.is_live(&old));
    assert_eq!(story.asked(), 1);
}
