//! API keys: made here and shown once, revoked at once everywhere.

use super::{
    Page,
    form::Form,
    problem::Failure,
    settings::{self, Made},
};
use crate::{
    domain::Permission,
    store::NewApiKey,
    vault::ApiKeySecret,
    web::{
        session::{self, SignedIn},
        state::AppState,
    },
};
use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use time::Duration;
use tower_sessions::Session;

/// The answer itself shows the key: it is kept nowhere to be shown later.
pub(super) async fn create(
    State(state): State<AppState>,
    who: SignedIn,
    form: Form,
) -> Result<Response, Failure> {
    let secret = ApiKeySecret::fresh();
    let now = state.clock.now();
    let tenant = form.filled("tenant").map(str::to_owned);
    let name = form.text("name").to_owned();
    let (permissions, days) = match read(&form) {
        Ok(read) => read,
        Err(refused) => {
            let mut page = settings::page(&state, &who, None).await?;
            (page.key_name, page.key_tenant) = (name, tenant.unwrap_or_default());
            page.key_error = Some(refused.to_owned());
            return Ok(Page(StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
        }
    };
    let new = NewApiKey {
        id: secret.id,
        digest: secret.digest,
        name: name.clone(),
        tenant,
        permissions,
        expires_at: days.map(|days| now + Duration::days(days)),
    };
    state.store.add_api_key(&new, now, &who.actor()).await?;
    let mut page = settings::page(&state, &who, None).await?;
    page.made = Some(Made { name, key: secret.text.expose().to_owned() });
    Ok(Page(StatusCode::CREATED, page).into_response())
}

pub(super) async fn revoke(
    State(state): State<AppState>,
    who: SignedIn,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    if !state.store.revoke_api_key(&id, state.clock.now(), &who.actor()).await? {
        return Err(Failure::not_found());
    }
    session::give_notice(&session, "The API key is revoked. Programs that use it are refused from now on.")
        .await?;
    Ok(Redirect::to("/settings").into_response())
}

/// What the key may do, and for how many days.
fn read(form: &Form) -> Result<(Vec<Permission>, Option<i64>), &'static str> {
    let is_text = |name: &str, longest| {
        let text = form.text(name);
        text.chars().count() <= longest && !text.chars().any(char::is_control)
    };
    if form.filled("name").is_none() {
        return Err("Give the key a name, such as the program that will use it.");
    }
    if !is_text("name", 100) {
        return Err("A name has 100 characters at most, without control characters.");
    }
    if !is_text("tenant", 200) {
        return Err("A tenant has 200 characters at most, without control characters.");
    }
    let chosen: Result<Vec<Permission>, _> = form.all("scopes").iter().map(|s| s.parse()).collect();
    let Some(permissions) = chosen.ok().filter(|all| !all.is_empty()) else {
        return Err("Choose at least one scope: what may the key do?");
    };
    let days = match form.text("expires_in") {
        "" => None,
        text => {
            Some(text.parse().ok().filter(|d| (1..=3_650).contains(d)).ok_or("Choose when the key ends.")?)
        }
    };
    Ok((permissions, days))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> Form {
        Form::parse(text.as_bytes())
    }

    #[test]
    fn a_key_needs_a_name_and_a_scope() {
        let made = read(&form("name=ci&scopes=tokens:read&scopes=proxy&expires_in=90")).unwrap();
        assert_eq!(made, (vec![Permission::TokensRead, Permission::Proxy], Some(90)));
        for bad in [
            "scopes=proxy",
            "name=a",
            "name=a&scopes=root",
            "name=a&scopes=proxy&expires_in=-1",
            "name=a%00b&scopes=proxy",
        ] {
            assert!(read(&form(bad)).is_err(), "{bad}");
        }
    }
}
