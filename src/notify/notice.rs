//! What is told of an event, in one shape for webhooks and mail. It holds no secret.

use time::OffsetDateTime;

/// What is told of an event: and how its connection stands when it is passed on, a moment later. It is the body of a webhook, and what a mail is made of.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Notice {
    /// The kind of event, such as `connection.expiring`.
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(with = "time::serde::rfc3339")]
    pub timestamp: OffsetDateTime,
    pub data: NoticeData,
}

#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct NoticeData {
    pub event_id: String,
    /// The connection, integration or API key that it is about.
    pub subject: Option<String>,
    pub tenant: Option<String>,
    pub actor: String,
    /// A plain sentence without secrets.
    pub detail: Option<String>,
    /// Absent where it is gone, or the event is about something else.
    pub connection: Option<NoticeConnection>,
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct NoticeConnection {
    pub id: String,
    pub name: String,
    pub integration: Option<String>,
    pub base_url: String,
    /// The account's user name, or its name.
    pub account: Option<String>,
    pub status: String,
    pub reason: Option<String>,
    pub action: Option<String>,
    /// Its page: `{site}/connections/{id}`.
    pub url: String,
    /// Where `action` is done: the same page to reauthorize, `/connections/{id}/rotate` to rotate.
    pub action_url: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
    pub generation: i64,
}
