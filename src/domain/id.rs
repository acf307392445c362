//! Ids that cannot be mistaken for one another. They sort by the time they were made (UUID version 7).

use std::{fmt, str::FromStr};
use uuid::Uuid;

macro_rules! id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            pub fn fresh() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            /// Takes the hyphenated lower-case form alone, so that one thing has one address.
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let id = Uuid::from_str(text)?;
                if id.to_string() == text { Ok(Self(id)) } else { Uuid::from_str("").map(Self) }
            }
        }
    };
}

id!(
    /// Names a connection for as long as it lives, also over reauthorization and rotation.
    ConnectionId
);
id!(
    /// Names one attempt to renew, in the journal.
    RenewalId
);
id!(
    /// Names a person who signs in to the pages.
    OperatorId
);
id!(
    /// Names one entry of the event log.
    EventId
);
id!(
    /// Names a revocation that is still owed to a provider.
    RevocationId
);
id!(
    /// Names a connect session. Its link has a secret of its own.
    ConnectSessionId
);
id!(
    /// Names a receiver of webhooks.
    WebhookEndpointId
);
id!(
    /// Names a notice on its way to one channel.
    DeliveryId
);

/// An id of somebody's choice, to be repeated in an answer. What cannot be one may be a token in a wrong field.
pub fn quoted_id(text: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.len() <= 60 && text.chars().all(plain) { format!("{text:?}") } else { "of that name".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = ConnectionId::fresh();
        assert_eq!(id.to_string().parse::<ConnectionId>().unwrap(), id);
        assert!(id.to_string().to_uppercase().parse::<ConnectionId>().is_err());
        assert!(id.0.simple().to_string().parse::<ConnectionId>().is_err());
    }
}
