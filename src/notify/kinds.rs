//! Which kinds of event are told: exact ones, or all of a family such as `connection.*`.

use crate::domain::EventKind;

/// What is told where nobody chose.
const USUAL: [&str; 3] = ["connection.*", "authorization.*", "integration.*"];

/// A choice of kinds, as it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kinds(Vec<String>);

/// Why a choice is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KindsError {
    #[error("Choose at least one kind of event, or leave this out for the usual ones.")]
    Nothing,
    #[error("There is no such kind of event. Known are {}, and families such as connection.*.", known())]
    Unknown,
}

impl Default for Kinds {
    fn default() -> Self {
        Self(USUAL.map(str::to_owned).to_vec())
    }
}

impl Kinds {
    /// The kinds that somebody asks for; each must be one that there is.
    pub fn chosen(words: Vec<String>) -> Result<Self, KindsError> {
        let known = |word: &String| EventKind::ALL.iter().any(|kind| matches(word, kind.as_str()));
        match words.as_slice() {
            [] => Err(KindsError::Nothing),
            words if !words.iter().all(known) => Err(KindsError::Unknown),
            _ => Ok(Self(words)),
        }
    }

    /// What is told by mail: what a person must do, and what stopped telling others. What heals by itself is not.
    pub fn by_mail() -> Self {
        let kinds = [
            EventKind::ActionRequired,
            EventKind::Expiring,
            EventKind::Expired,
            EventKind::RevocationFailed,
            EventKind::IntegrationFailing,
            EventKind::IntegrationRecovered,
            EventKind::WebhookEndpointDisabled,
        ];
        Self(kinds.map(|kind| kind.to_string()).to_vec())
    }

    /// Kinds as they were stored, perhaps by a version that knew others.
    pub fn stored(words: Vec<String>) -> Self {
        Self(words)
    }

    pub fn include(&self, kind: &str) -> bool {
        self.0.iter().any(|word| matches(word, kind))
    }

    pub fn words(&self) -> &[String] {
        &self.0
    }
}

fn matches(word: &str, kind: &str) -> bool {
    match word.strip_suffix(".*") {
        Some(family) => kind.split_once('.').is_some_and(|(of, _)| of == family),
        None => word == kind,
    }
}

fn known() -> String {
    EventKind::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(words: &[&str]) -> Result<Kinds, KindsError> {
        Kinds::chosen(words.iter().map(|word| (*word).to_owned()).collect())
    }

    #[test]
    fn a_family_is_all_of_its_kinds_and_no_other() {
        let kinds = chosen(&["connection.*", "api_key.revoked"]).unwrap();
        for (kind, told) in [
            ("connection.expired", true),
            ("connection.of_a_later_version", true),
            ("api_key.revoked", true),
            ("api_key.created", false),
            ("operator.signed_in", false),
        ] {
            assert_eq!(kinds.include(kind), told, "{kind}");
        }
    }

    #[test]
    fn the_usual_kinds_leave_out_keys_and_people() {
        let told = |kind: EventKind| Kinds::default().include(kind.as_str());
        assert!(told(EventKind::Expiring) && told(EventKind::IntegrationFailing));
        assert!(!told(EventKind::ApiKeyCreated) && !told(EventKind::SignedIn) && !told(EventKind::Resealed));
    }

    #[test]
    fn an_unknown_kind_is_refused_and_the_known_ones_named() {
        for word in ["connection", "connection.", "*", "connection.*.*", "connections.*", "", ".*"] {
            assert_eq!(chosen(&["connection.*", word]), Err(KindsError::Unknown), "{word}");
        }
        assert_eq!(chosen(&[]), Err(KindsError::Nothing));
        assert!(KindsError::Unknown.to_string().contains("connection.expiring"));
    }
}
