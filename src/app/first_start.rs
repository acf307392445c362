//! The first operator: from the environment, or by a link that is shown once.

use crate::{
    config::Config,
    domain::{Actor, OperatorId},
    store::Operator,
    vault::{Ticket, hash_password},
    web::AppState,
};

/// Makes the operator that the environment names, or a setup link where there is no operator at all.
pub(super) async fn operators(config: &Config, state: &AppState) -> anyhow::Result<Option<String>> {
    let now = state.clock.now();
    if let Some(first) = &config.first_administrator {
        let email = first.email.trim().to_lowercase();
        if state.store.operator_by_email(&email).await?.is_none() {
            let password_hash = hash_password(first.password.expose().to_owned()).await;
            let operator = Operator { id: OperatorId::fresh(), email, password_hash };
            state.store.add_operator(&operator, now, &Actor::CommandLine).await?;
        }
        return Ok(None);
    }
    if state.store.count_operators().await? > 0 {
        return Ok(None);
    }
    let ticket = Ticket::fresh();
    state.store.add_setup_link(&ticket.digest, now).await?;
    Ok(Some(format!("{}/setup?token={}", state.site_url, ticket.secret.expose())))
}
