//! Whether an endpoint may be called now: it rests after failures, and then one delivery tries it.
//!
//! `retry_at` is the breaker. While it lies ahead nothing is sent; who comes first after it moves it on and is
//! the probe. A success takes it away.

use super::{
    Store, StoreError,
    db::{in_transaction, on},
    deliveries::is_ready,
    events::{append_event, event},
    rows::{Reader, micros, tenant_from},
    webhook_endpoints::binding,
};
use crate::domain::{Actor, EventKind, Secret, WebhookEndpointId};
use time::{Duration, OffsetDateTime};

/// Where to send, and the secrets that sign: the newest first.
#[derive(Debug)]
pub struct WebhookTarget {
    pub url: String,
    pub tenant: Option<String>,
    pub secrets: Vec<Secret>,
}

#[derive(sqlx::FromRow)]
struct TargetRow {
    url: String,
    tenant: String,
    secret: Vec<u8>,
    previous_secret: Option<Vec<u8>>,
    previous_until: Option<i64>,
}

/// The columns of [`TargetRow`].
macro_rules! target {
    ($before:literal, $after:literal) => {
        concat!($before, " url, tenant, secret, previous_secret, previous_until ", $after)
    };
}

impl Store {
    /// The endpoints that may be called and have a delivery whose time has come.
    pub async fn endpoints_due(&self, now: OffsetDateTime) -> Result<Vec<WebhookEndpointId>, StoreError> {
        let ids: Vec<String> = on!(self.db, read, |pool| sqlx::query_scalar(concat!(
            "select e.endpoint_id from webhook_endpoints e
              where e.disabled_at is null and e.paused_at is null
                and (e.retry_at is null or e.retry_at <= $1)
                and exists (select 1 from deliveries d where d.channel = e.endpoint_id and ",
            is_ready!(),
            ") order by e.endpoint_id",
        ))
        .bind(micros(now))
        .fetch_all(pool)
        .await?);
        ids.iter().map(|id| Reader { table: "webhook_endpoints", row: id }.word(id)).collect()
    }

    /// The endpoint, if it may be called now, and whether this call is the probe after a rest. No other is let
    /// through for `hold` then.
    pub async fn admit_to_endpoint(
        &self,
        id: WebhookEndpointId,
        now: OffsetDateTime,
        hold: Duration,
    ) -> Result<Option<(WebhookTarget, bool)>, StoreError> {
        let probed: Option<TargetRow> = on!(self.db, write, |pool| sqlx::query_as(target!(
            "update webhook_endpoints set retry_at = $3
              where endpoint_id = $1 and disabled_at is null and paused_at is null and retry_at <= $2
             returning",
            ""
        ))
        .bind(id.to_string())
        .bind(micros(now))
        .bind(micros(now + hold))
        .fetch_optional(pool)
        .await?);
        if let Some(row) = probed {
            return Ok(Some((self.target(id, &row, now)?, true)));
        }
        let open: Option<TargetRow> = on!(self.db, read, |pool| sqlx::query_as(target!(
            "select",
            "from webhook_endpoints
              where endpoint_id = $1 and disabled_at is null and paused_at is null and retry_at is null"
        ))
        .bind(id.to_string())
        .fetch_optional(pool)
        .await?);
        open.map(|row| Ok((self.target(id, &row, now)?, false))).transpose()
    }

    /// The endpoint, whether it rests or not.
    pub async fn webhook_target(
        &self,
        id: WebhookEndpointId,
        now: OffsetDateTime,
    ) -> Result<Option<WebhookTarget>, StoreError> {
        let row: Option<TargetRow> = on!(self.db, read, |pool| sqlx::query_as(target!(
            "select",
            "from webhook_endpoints where endpoint_id = $1"
        ))
        .bind(id.to_string())
        .fetch_optional(pool)
        .await?);
        row.map(|row| self.target(id, &row, now)).transpose()
    }

    fn target(
        &self,
        id: WebhookEndpointId,
        row: &TargetRow,
        now: OffsetDateTime,
    ) -> Result<WebhookTarget, StoreError> {
        let id = id.to_string();
        let open = |sealed: &[u8], field| self.keyring.open_secret(sealed, binding(&id, field, &row.url));
        let mut secrets = vec![open(&row.secret, "secret")?];
        if let (Some(sealed), Some(until)) = (&row.previous_secret, row.previous_until)
            && micros(now) < until
        {
            secrets.push(open(sealed, "previous_secret")?);
        }
        Ok(WebhookTarget { url: row.url.clone(), tenant: tenant_from(row.tenant.clone()), secrets })
    }

    /// An endpoint took something: whatever failed before is forgotten.
    pub async fn endpoint_recovered(&self, id: WebhookEndpointId) -> Result<(), StoreError> {
        on!(self.db, write, |pool| sqlx::query(
            "update webhook_endpoints set failures = 0, retry_at = null
              where endpoint_id = $1 and (failures > 0 or retry_at is not null)"
        )
        .bind(id.to_string())
        .execute(pool)
        .await?
        .rows_affected());
        Ok(())
    }

    /// Counts a failure, and lets the endpoint rest until what `rest` makes of the failures in a row. What was
    /// on the wire when the rest began does not count: only the `probe` does then.
    pub async fn endpoint_failed(
        &self,
        id: WebhookEndpointId,
        probe: bool,
        rest: impl Fn(i64) -> Option<OffsetDateTime>,
    ) -> Result<(), StoreError> {
        in_transaction!(self.db, |tx| {
            let failures: Option<i64> = sqlx::query_scalar(
                "update webhook_endpoints set failures = failures + 1
                  where endpoint_id = $1 and ($2 = 1 or retry_at is null)
                 returning failures",
            )
            .bind(id.to_string())
            .bind(i64::from(probe))
            .fetch_optional(&mut *tx)
            .await?;
            if let Some(failures) = failures {
                sqlx::query("update webhook_endpoints set retry_at = $2 where endpoint_id = $1")
                    .bind(id.to_string())
                    .bind(rest(failures).map(micros))
                    .execute(&mut *tx)
                    .await?;
            }
        });
        Ok(())
    }

    /// Pauses an endpoint, whose notices wait from then on, or lets them go on. `false`: it is gone or disabled,
    /// or so already.
    pub async fn pause_webhook_endpoint(
        &self,
        id: WebhookEndpointId,
        paused: bool,
        at: OffsetDateTime,
        actor: &Actor,
    ) -> Result<bool, StoreError> {
        let id = id.to_string();
        let kind = if paused { EventKind::WebhookEndpointPaused } else { EventKind::WebhookEndpointResumed };
        Ok(in_transaction!(self.db, |tx| {
            let tenant: Option<String> = sqlx::query_scalar(
                "update webhook_endpoints set paused_at = $2
                  where endpoint_id = $1 and disabled_at is null
                    and $3 = case when paused_at is null then 1 else 0 end
                 returning tenant",
            )
            .bind(&id)
            .bind(paused.then(|| micros(at)))
            .bind(i64::from(paused))
            .fetch_optional(&mut *tx)
            .await?;
            if let Some(tenant) = tenant.clone().map(tenant_from) {
                append_event!(tx, &event(kind, at, &id, tenant.as_deref(), actor));
            }
            tenant.is_some()
        }))
    }

    /// Sends an endpoint nothing any more, and gives up what waits for it.
    pub async fn disable_webhook_endpoint(
        &self,
        id: WebhookEndpointId,
        reason: &str,
        at: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let id = id.to_string();
        in_transaction!(self.db, |tx| {
            let tenant: Option<String> = sqlx::query_scalar(
                "update webhook_endpoints set disabled_at = $2, disabled_reason = $3
                  where endpoint_id = $1 and disabled_at is null
                 returning tenant",
            )
            .bind(&id)
            .bind(micros(at))
            .bind(reason)
            .fetch_optional(&mut *tx)
            .await?;
            if let Some(tenant) = tenant.map(tenant_from) {
                sqlx::query(
                    "update deliveries set dead_at = $2
                      where channel = $1 and delivered_at is null and dead_at is null",
                )
                .bind(&id)
                .bind(micros(at))
                .execute(&mut *tx)
                .await?;
                let kind = EventKind::WebhookEndpointDisabled;
                let mut told = event(kind, at, &id, tenant.as_deref(), &Actor::Mooring);
                told.detail = Some(reason.to_owned());
                append_event!(tx, &told);
            }
        });
        Ok(())
    }
}
