//! From an event and the connection that it is about to the notice.

use super::notice::{Notice, NoticeConnection, NoticeData};
use crate::domain::{Action, Connection, Event};
use time::Duration;

/// The notice of an event. The connection is absent where it is gone, or there is none.
pub(super) fn notice(
    event: &Event,
    connection: Option<&Connection>,
    site_url: &str,
    warn_before: Duration,
) -> Notice {
    Notice {
        kind: event.kind.to_string(),
        timestamp: event.at,
        data: NoticeData {
            event_id: event.id.to_string(),
            subject: event.subject.clone(),
            tenant: event.tenant.clone(),
            actor: event.actor.clone(),
            detail: event.detail.clone(),
            connection: connection.map(|connection| view(connection, event, site_url, warn_before)),
        },
    }
}

fn view(connection: &Connection, event: &Event, site_url: &str, warn_before: Duration) -> NoticeConnection {
    let standing = connection.standing(event.at, warn_before);
    let page = format!("{site_url}/connections/{}", connection.id);
    let account = connection.account.as_ref();
    NoticeConnection {
        id: connection.id.to_string(),
        name: connection.name.clone(),
        integration: connection.integration.clone(),
        base_url: connection.base_url.to_string(),
        account: account.and_then(|account| account.username.clone().or_else(|| account.name.clone())),
        status: standing.status.to_string(),
        reason: standing.reason.map(|reason| reason.to_string()),
        action: standing.action.map(|action| action.to_string()),
        action_url: standing.action.map(|action| match action {
            Action::Rotate => format!("{page}/rotate"),
            Action::Reauthorize => page.clone(),
        }),
        url: page,
        expires_at: connection.credential.expires_at,
        generation: connection.credential.generation,
    }
}
