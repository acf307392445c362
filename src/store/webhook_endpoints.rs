//! Receivers of webhooks: made, listed, removed, and given new secrets.
//!
//! A secret is sealed with its endpoint's URL, which never changes: it cannot be made to sign for another one.

use super::{
    Store, StoreError,
    db::{in_transaction, on},
    events::{append_event, event},
    rows::{Reader, json, micros, readable, tenant_column, tenant_from},
};
use crate::{
    domain::{Actor, EventKind, Secret, WebhookEndpointId, words},
    vault::Binding,
};
use time::OffsetDateTime;

words! {
    /// How an endpoint takes what it is sent.
    pub enum EndpointStatus {
        Active = "active",
        /// The last attempt failed.
        Failing = "failing",
        /// A person paused it: its notices wait.
        Paused = "paused",
        /// It is sent nothing any more.
        Disabled = "disabled",
    }
}

/// What makes an endpoint.
pub struct NewWebhookEndpoint {
    pub id: WebhookEndpointId,
    pub url: String,
    pub description: Option<String>,
    /// Kinds and families of kinds.
    pub events: Vec<String>,
    pub tenant: Option<String>,
    pub secret: Secret,
}

/// An endpoint, without its secrets, and how its deliveries stand.
#[derive(Clone, Debug)]
pub struct WebhookEndpoint {
    pub id: WebhookEndpointId,
    pub url: String,
    pub description: Option<String>,
    pub events: Vec<String>,
    pub tenant: Option<String>,
    /// In a row.
    pub failures: i64,
    /// It rests until then.
    pub retry_at: Option<OffsetDateTime>,
    pub disabled_at: Option<OffsetDateTime>,
    pub disabled_reason: Option<String>,
    pub paused_at: Option<OffsetDateTime>,
    pub pending: i64,
    pub dead: i64,
    pub last_delivered_at: Option<OffsetDateTime>,
    pub created_at: OffsetDateTime,
}

impl WebhookEndpoint {
    pub fn status(&self) -> EndpointStatus {
        match (self.disabled_at, self.paused_at, self.failures) {
            (Some(_), _, _) => EndpointStatus::Disabled,
            (None, Some(_), _) => EndpointStatus::Paused,
            (None, None, 0) => EndpointStatus::Active,
            (None, None, _) => EndpointStatus::Failing,
        }
    }
}

/// The columns of [`EndpointRow`].
macro_rules! select_endpoints {
    ($rest:literal) => {
        concat!(
            "select e.endpoint_id, e.url, e.description, e.events, e.tenant, e.failures, e.retry_at,
                    e.disabled_at, e.disabled_reason, e.paused_at, e.created_at,
                    (select count(*) from deliveries d
                      where d.channel = e.endpoint_id and d.delivered_at is null and d.dead_at is null) as pending,
                    (select count(*) from deliveries d
                      where d.channel = e.endpoint_id and d.dead_at is not null) as dead,
                    (select max(d.delivered_at) from deliveries d
                      where d.channel = e.endpoint_id) as last_delivered_at
               from webhook_endpoints e
              ",
            $rest
        )
    };
}

#[derive(sqlx::FromRow)]
struct EndpointRow {
    endpoint_id: String,
    url: String,
    description: Option<String>,
    events: String,
    tenant: String,
    failures: i64,
    retry_at: Option<i64>,
    disabled_at: Option<i64>,
    disabled_reason: Option<String>,
    paused_at: Option<i64>,
    pending: i64,
    dead: i64,
    last_delivered_at: Option<i64>,
    created_at: i64,
}

impl EndpointRow {
    fn endpoint(&self) -> Result<WebhookEndpoint, StoreError> {
        let read = Reader { table: "webhook_endpoints", row: &self.endpoint_id };
        Ok(WebhookEndpoint {
            id: read.word(&self.endpoint_id)?,
            url: self.url.clone(),
            description: self.description.clone(),
            events: read.json(&self.events)?,
            tenant: tenant_from(self.tenant.clone()),
            failures: self.failures,
            retry_at: read.instant_if_any(self.retry_at)?,
            disabled_at: read.instant_if_any(self.disabled_at)?,
            disabled_reason: self.disabled_reason.clone(),
            paused_at: read.instant_if_any(self.paused_at)?,
            pending: self.pending,
            dead: self.dead,
            last_delivered_at: read.instant_if_any(self.last_delivered_at)?,
            created_at: read.instant(self.created_at)?,
        })
    }
}

impl Store {
    /// Adds an endpoint. Its secret is sealed, and what happened before is not told there.
    pub async fn add_webhook_endpoint(
        &self,
        new: &NewWebhookEndpoint,
        at: OffsetDateTime,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let id = new.id.to_string();
        let sealed = self.keyring.seal(new.secret.expose().as_bytes(), binding(&id, "secret", &new.url));
        let told = event(EventKind::WebhookEndpointAdded, at, &id, new.tenant.as_deref(), actor);
        in_transaction!(self.db, |tx| {
            sqlx::query(
                "insert into webhook_endpoints (endpoint_id, url, description, events, tenant, secret, created_at)
                 values ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind(&id)
            .bind(&new.url)
            .bind(&new.description)
            .bind(json(&new.events))
            .bind(tenant_column(new.tenant.as_deref()))
            .bind(sealed)
            .bind(micros(at))
            .execute(&mut *tx)
            .await?;
            append_event!(tx, &told);
        });
        Ok(())
    }

    /// The endpoints whose ids come after `after`, of one tenant where one is named; oldest first.
    pub async fn list_webhook_endpoints(
        &self,
        tenant: Option<&str>,
        after: Option<WebhookEndpointId>,
        limit: i64,
    ) -> Result<Vec<WebhookEndpoint>, StoreError> {
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        let rows: Vec<EndpointRow> = on!(self.db, read, |pool| {
            sqlx::query_as(select_endpoints!(
                "where e.endpoint_id > $1 and ($2 = '' or e.tenant = $2)
             order by e.endpoint_id
             limit $3"
            ))
            .bind(after)
            .bind(tenant.unwrap_or_default())
            .bind(limit)
            .fetch_all(pool)
            .await?
        });
        let endpoint = |row: &EndpointRow| readable("webhook_endpoints", &row.endpoint_id, row.endpoint());
        Ok(rows.iter().filter_map(endpoint).collect())
    }

    /// How many endpoints there are, and of these how many are [`EndpointStatus::Failing`].
    pub async fn count_webhook_endpoints(&self) -> Result<(i64, i64), StoreError> {
        Ok(on!(self.db, read, |pool| sqlx::query_as(
            "select count(*),
                    count(case when disabled_at is null and paused_at is null and failures > 0 then 1 end)
               from webhook_endpoints"
        )
        .fetch_one(pool)
        .await?))
    }

    /// An endpoint with what it is told, without its secret. `None`: there is none with this id.
    pub async fn webhook_endpoint(
        &self,
        id: WebhookEndpointId,
    ) -> Result<Option<WebhookEndpoint>, StoreError> {
        let row: Option<EndpointRow> =
            on!(self.db, read, |pool| sqlx::query_as(select_endpoints!("where e.endpoint_id = $1"))
                .bind(id.to_string())
                .fetch_optional(pool)
                .await?);
        row.map(|row| row.endpoint()).transpose()
    }

    /// Removes an endpoint with all its deliveries. `false`: it was gone.
    pub async fn remove_webhook_endpoint(
        &self,
        id: WebhookEndpointId,
        at: OffsetDateTime,
        actor: &Actor,
    ) -> Result<bool, StoreError> {
        let id = id.to_string();
        let removed = in_transaction!(self.db, |tx| {
            let tenant: Option<String> =
                sqlx::query_scalar("delete from webhook_endpoints where endpoint_id = $1 returning tenant")
                    .bind(&id)
                    .fetch_optional(&mut *tx)
                    .await?;
            if let Some(tenant) = &tenant {
                sqlx::query("delete from deliveries where channel = $1").bind(&id).execute(&mut *tx).await?;
                let tenant = tenant_from(tenant.clone());
                let told = event(EventKind::WebhookEndpointRemoved, at, &id, tenant.as_deref(), actor);
                append_event!(tx, &told);
            }
            tenant.is_some()
        });
        Ok(removed)
    }

    /// Gives an endpoint a new secret; the one it had also signs until `both_until`. `false`: it is gone.
    pub async fn rotate_webhook_secret(
        &self,
        id: WebhookEndpointId,
        secret: &Secret,
        both_until: OffsetDateTime,
        at: OffsetDateTime,
        actor: &Actor,
    ) -> Result<bool, StoreError> {
        let id = id.to_string();
        let rotated = in_transaction!(self.db, |tx| {
            let held: Option<(String, String, Vec<u8>)> = sqlx::query_as(
                "update webhook_endpoints set url = url where endpoint_id = $1 returning url, tenant, secret",
            )
            .bind(&id)
            .fetch_optional(&mut *tx)
            .await?;
            if let Some((url, tenant, sealed)) = &held {
                let was = self.keyring.open(sealed, binding(&id, "secret", url))?;
                sqlx::query(
                    "update webhook_endpoints set secret = $2, previous_secret = $3, previous_until = $4
                      where endpoint_id = $1",
                )
                .bind(&id)
                .bind(self.keyring.seal(secret.expose().as_bytes(), binding(&id, "secret", url)))
                .bind(self.keyring.seal(&was, binding(&id, "previous_secret", url)))
                .bind(micros(both_until))
                .execute(&mut *tx)
                .await?;
                let tenant = tenant_from(tenant.clone());
                let told = event(EventKind::WebhookSecretRotated, at, &id, tenant.as_deref(), actor);
                append_event!(tx, &told);
            }
            held.is_some()
        });
        Ok(rotated)
    }
}

pub(super) fn binding<'a>(row: &'a str, field: &'static str, url: &'a str) -> Binding<'a> {
    Binding { table: "webhook_endpoints", row, field, base_url: url, generation: 1 }
}
