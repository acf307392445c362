//! The first operator: from the environment, or by a link that is shown once.

use crate::{
    config::Config,
    domain::{Actor, Role},
    operator::new_operator,
    vault::Ticket,
    web::AppState,
};

/// Makes the operator that the environment names, or a setup link; nothing once there is an operator.
pub(super) async fn operators(config: &Config, state: &AppState) -> anyhow::Result<Option<String>> {
    if state.store.count_operators().await? > 0 {
        return Ok(None);
    }
    let now = state.clock.now();
    if let Some(first) = &config.first_administrator {
        let email = first.email.trim().to_lowercase();
        let operator = new_operator(email, first.password.expose().to_owned(), Role::Administrator).await;
        state.store.add_operator(&operator, now, &Actor::CommandLine).await?;
        return Ok(None);
    }
    let ticket = Ticket::fresh();
    state.store.add_setup_link(&ticket.digest, now).await?;
    Ok(Some(format!("{}/setup?token={}", state.site_url, ticket.secret.expose())))
}
