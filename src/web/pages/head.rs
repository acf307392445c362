//! What stands at the top of every page of one connection: its name, how it stands, the buttons, and the way to
//! its other pages.

use super::words::{self, Badge};
use crate::{
    domain::{Action, Connection, Status},
    web::state::AppState,
};

/// The pages of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tab {
    Overview,
    Reach,
    History,
    Usage,
    Use,
    Edit,
}

impl Tab {
    pub(super) const ALL: [Self; 6] =
        [Self::Overview, Self::Reach, Self::History, Self::Usage, Self::Use, Self::Edit];

    /// The others are forms for administrators.
    pub(super) fn is_for_viewers(self) -> bool {
        self != Self::Edit
    }

    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Reach => "Projects and groups",
            Self::History => "History",
            Self::Usage => "Usage",
            Self::Use => "Use it",
            Self::Edit => "Edit",
        }
    }

    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Overview => "",
            Self::Reach => "/reach",
            Self::History => "/history",
            Self::Usage => "/usage",
            Self::Use => "/use",
            Self::Edit => "/edit",
        }
    }
}

pub(super) struct Head {
    pub(super) href: String,
    pub(super) name: String,
    pub(super) lead: String,
    pub(super) tenant: Option<String>,
    /// On the overview the status has a place of its own, which keeps itself current.
    pub(super) badge: Option<Badge>,
    /// Whether it is mended by consenting again, and not by pasting a token.
    pub(super) is_oauth: bool,
    /// Which button stands out.
    pub(super) must_act: bool,
    /// Whether another installation has its credential too.
    pub(super) is_exported: bool,
    pub(super) here: Tab,
}

impl Head {
    pub(super) fn of(state: &AppState, c: &Connection, here: Tab) -> Self {
        Self::standing(c, state.standing(c), here)
    }

    pub(super) fn standing(c: &Connection, standing: crate::domain::Standing, here: Tab) -> Self {
        let fallback = || format!("{} at {}", words::token_kind(c.token_kind), c.base_url.host());
        Self {
            href: format!("/connections/{}", c.id),
            name: c.name.clone(),
            lead: c.description.clone().unwrap_or_else(fallback),
            tenant: c.tenant.clone(),
            badge: (here != Tab::Overview).then(|| Badge::of(standing.status)),
            is_oauth: c.remedy() == Action::Reauthorize,
            must_act: standing.action.is_some() || standing.status == Status::ActionRequired,
            is_exported: c.credential.exported_at.is_some(),
            here,
        }
    }
}
